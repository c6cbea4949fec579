"""grpcurl, which has no .proto files of ours, finds by reflection what there is, and calls it.

MERIDIAN_GRPC is a gateway's gRPC address; grpcurl comes with the requirements of this folder.
"""

import base64
import json
import os
import subprocess
import sys
import unittest
import uuid
from datetime import datetime, timezone
from pathlib import Path

ADDRESS = os.environ.get("MERIDIAN_GRPC", "").removeprefix("http://")


def grpcurl(*args):
    """What it prints. It is as its authors built it; a Python package carries it."""
    command = Path(sys.executable).parent / "grpcurl"
    done = subprocess.run([command, "-plaintext", *args], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


@unittest.skipUnless(ADDRESS, "needs a gateway's gRPC: MERIDIAN_GRPC")
class Grpcurl(unittest.TestCase):
    def call(self, method, message):
        code, said = grpcurl("-d", json.dumps(message), ADDRESS, method)
        self.assertEqual(code, 0, said)
        return json.loads(said)

    def test_lists_what_there_is(self):
        code, said = grpcurl(ADDRESS, "list")
        self.assertEqual(code, 0, said)
        self.assertIn("meridian.v1.Mesh", said.split())
        code, said = grpcurl(ADDRESS, "describe", "meridian.v1.Mesh")
        self.assertEqual(code, 0, said)
        self.assertIn("rpc GetFeatures", said)

    def test_pushes_and_reads_its_push(self):
        plane = f"N{uuid.uuid4().hex[:12]}"
        event = {"event_id": plane, "departed_at": datetime.now(timezone.utc).isoformat(), "tailnum": plane, "carrier": "ZZ",
                 "origin": "JFK", "dest": "LAX", "distance": 1000, "dep_delay": 7}
        events = [base64.b64encode(json.dumps(event).encode()).decode()]
        pushed = self.call("meridian.v1.Mesh/Push", {"source": "departures", "events": events})
        self.assertEqual(pushed["accepted"], "1")
        read = {"features": ["plane_delays:delay_30d"], "entities": {"tailnum": {"values": [{"stringValue": plane}]}},
                "options": {"tokens": [pushed["token"]]}}
        answer = self.call("meridian.v1.Mesh/GetFeatures", read)
        self.assertIn('"doubleValue": 7', json.dumps(answer))

    def test_what_is_wrong_is_said_with_its_code(self):
        code, said = grpcurl("-d", '{"features": ["no_such:view"]}', ADDRESS, "meridian.v1.Mesh/GetFeatures")
        self.assertNotEqual(code, 0)
        self.assertIn("no_such", said)


if __name__ == "__main__":
    unittest.main()
