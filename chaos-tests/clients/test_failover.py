"""An unmodified Feast client that reads and pushes while its region's node is killed and comes back.

MERIDIAN_MESH is the `mesh.json` of a mesh that `meridian up` runs, MERIDIAN_REGION the region whose
gateway MERIDIAN_HTTP is. `FeatureStore.push` cannot ask for another region, so a push waits in the
gateway until the node is back: its events have ids, and count once however often they are sent.
"""

import json
import os
import signal
import threading
import time
import unittest

from common import Repo, unique

MESH = os.environ.get("MERIDIAN_MESH")
KILLS = 2
# Only a failing test waits for it.
PATIENCE_S = 60


def node_pid():
    try:
        with open(MESH) as file:
            return json.load(file)["regions"][os.environ["MERIDIAN_REGION"]]["node"]["pid"]
    except (OSError, ValueError):
        return None


class Loop(threading.Thread):
    """Does something again and again, until it is told to end or it fails."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.rounds, self.error, self.ends = work, 0, None, False

    def run(self):
        try:
            while not self.ends:
                self.work()
                self.rounds += 1
        except Exception as error:  # the test raises it
            self.error = error

    def end(self):
        self.ends = True
        self.join()
        if self.error:
            raise self.error


@unittest.skipUnless(MESH, "needs a mesh whose processes can be killed: MERIDIAN_MESH")
class Failover(unittest.TestCase):
    def setUp(self):
        self.repo = Repo()
        self.addCleanup(self.repo.close)
        self.repo.apply_push_source()

    def wait_until(self, what, done):
        until = time.monotonic() + PATIENCE_S
        while not done():
            self.assertLess(time.monotonic(), until, f"in vain: {what}")
            time.sleep(0.02)

    def test_reads_and_pushes_go_on_while_the_node_is_killed_and_comes_back(self):
        plane = unique("N")
        features = ["plane_delays:departures_24h"]
        seen = []

        def read():
            seen.append(self.repo.read(features, tailnum=[plane])["departures_24h"][0])

        self.repo.push(plane, [1])
        loops = reads, pushes = Loop(read), Loop(lambda: self.repo.push(plane, [5]))
        for loop in loops:
            loop.start()
        self.addCleanup(lambda: [setattr(loop, "ends", True) for loop in loops])
        for _ in range(KILLS):
            before = node_pid()
            os.kill(before, signal.SIGKILL)
            self.wait_until("the node is back", lambda: node_pid() not in (None, before))
            at = reads.rounds, pushes.rounds
            for loop, rounds in zip(loops, at):
                # What was under way at the kill, and some after it.
                self.wait_until("it goes on", lambda: loop.error or loop.rounds > rounds + 5)
        for loop in loops:
            loop.end()
        pushed = 1 + pushes.rounds
        self.wait_until("each push counts", lambda: read() or seen[-1] == pushed)
        # And once: whatever was sent twice has been folded by now, as it is in front of this one.
        self.repo.push(plane, [9])
        # A read without a token may be answered by a region that has not heard of the plane yet.
        self.wait_until("the last one counts", lambda: read() or (seen[-1] or 0) > pushed)
        self.assertEqual(seen[-1], pushed + 1)
        print(f"{reads.rounds} reads and {pushes.rounds} pushes through {KILLS} kills")


if __name__ == "__main__":
    unittest.main()
