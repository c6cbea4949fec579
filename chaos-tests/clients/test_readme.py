"""The README's commands by hand, as they stand there: those that bring events and ask.

What they answer is held against the flights themselves. MERIDIAN_DATA is the directory of a mesh
that holds no events yet; `meridian` is on the PATH.
"""

import gzip
import json
import os
import re
import statistics
import subprocess
import time
import unittest
from pathlib import Path

from common import GATEWAY, PATIENCE_S

ROOT = Path(__file__).resolve().parent.parent.parent
ASKS = ("meridian ingest", "meridian status", "meridian get", "meridian explain", "meridian routes", "curl")


def commands():
    """Those under 'Try it by hand', each a line or several."""
    text = (ROOT / "README.md").read_text().split("## Try it by hand")[1].split("\n\n")[1]
    text = "\n".join(line.removeprefix("    ") for line in text.splitlines())
    whole = re.sub(r"\n +", " ", text).splitlines()
    return [command for command in whole if command.startswith(ASKS)]


def expected():
    """The mean delay of N14228 over the 30 days before February, by the flights that the README brings."""
    with gzip.open(ROOT / "examples/departures/data/ewr.jsonl.gz", "rt") as lines:
        flights = [json.loads(line) for line in lines]
    return statistics.mean(
        flight["dep_delay"] for flight in flights
        if flight["tailnum"] == "N14228" and (flight["departed_at"] or "") >= "2013-01-02T00:00:00Z")


@unittest.skipUnless("MERIDIAN_DATA" in os.environ, "needs a mesh whose processes can be asked: MERIDIAN_DATA")
class Readme(unittest.TestCase):
    def run_as_written(self, command):
        here = command.replace("localhost:6566", GATEWAY.removeprefix("http://"))
        self.assertFalse(command.startswith("curl") and here == command, command)
        done = subprocess.run(here, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{here}\n{done.stdout}{done.stderr}")
        return done.stdout

    def until(self, command, done):
        """Mirrors take a moment."""
        until = time.monotonic() + PATIENCE_S
        while not done(said := self.run_as_written(command)) and time.monotonic() < until:
            time.sleep(0.1)
        return said

    def test_commands_run_and_answer_what_the_flights_say(self):
        mean = expected()
        value = lambda said: json.loads(said)["results"][-1]["values"][0]
        near = lambda found: found is not None and abs(found - mean) < 1e-6
        says = {
            "meridian get": lambda said: f"{mean:.4f}" in said,
            "meridian explain": lambda said: f"{mean:.4f}" in said,
            "meridian routes": lambda said: "ewr" in said,
            "curl -s": lambda said: near(value(said)),
        }
        ran = set()
        for command in commands():
            name = " ".join(command.split()[:2])
            ran.add(name)
            with self.subTest(command=command):
                done = says.get(name, lambda _: True)
                said = self.until(command, done)
                self.assertTrue(done(said), said)
        self.assertEqual(ran, {"meridian ingest", "meridian status", *says})


if __name__ == "__main__":
    unittest.main()
