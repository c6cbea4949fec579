"""An unmodified Feast client, reading from and pushing to a gateway of a running mesh.

The mesh must have the catalog of examples/departures. Every run pushes planes of its own, so that
what it expects does not depend on what the mesh has seen before.
"""

import json
import time
import unittest
import urllib.error

from common import PATIENCE_S, Repo, flights, post, unique
from feast import errors


class Feast(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.repo = Repo()

    @classmethod
    def tearDownClass(cls):
        cls.repo.close()

    def read(self, features, **entities):
        return self.repo.read(features, **entities)

    def read_until(self, done, features, **entities):
        """A Feast client cannot present a token, so it looks until it sees."""
        until = time.monotonic() + PATIENCE_S
        while True:
            answer = self.read(features, **entities)
            if done(answer) or time.monotonic() > until:
                return answer
            time.sleep(0.02)

    def test_values_pushed_over_http_are_read_in_their_types(self):
        plane = unique("N")
        df = flights(plane, [10, 20, 60], "departed_at")
        headers, body = post(
            "/push", {"push_source_name": "departures", "to": "online", "df": df}
        )
        self.assertEqual(body, b"")
        token = headers["x-meridian-token"]
        # With the token the answer has what was pushed; Feast's own read then does too.
        names = ["departures_24h", "delay_24h", "worst_delay_24h", "last_destination"]
        features = [f"plane_delays:{name}" for name in names]
        _, raw = post(
            "/get-online-features",
            {"entities": {"tailnum": [plane]}, "features": features, "mesh": {"token": token}},
        )
        self.assertEqual(json.loads(raw)["results"][1]["values"], [3])
        answer = self.read(features, tailnum=[plane, "never seen", plane])
        self.assertEqual(
            answer,
            {
                "tailnum": [plane, "never seen", plane],
                "departures_24h": [3, None, 3],
                "delay_24h": [30.0, None, 30.0],
                "worst_delay_24h": [60, None, 60],
                "last_destination": ["BOS", None, "BOS"],
            },
        )
        self.assertIsInstance(answer["delay_24h"][0], float)
        self.assertIsInstance(answer["departures_24h"][0], int)

    def test_store_push_feeds_the_source(self):
        self.repo.apply_push_source()
        tailnum = unique("N")
        self.repo.push(tailnum, [5, 15])
        answer = self.read_until(
            lambda answer: answer["departures_24h"] == [2],
            ["plane_delays:departures_24h", "plane_delays:miles_24h"],
            tailnum=[tailnum],
        )
        self.assertEqual(answer["departures_24h"], [2])
        self.assertEqual(answer["miles_24h"], [2000.0])

    def test_full_names_and_composite_keys(self):
        answer = self.repo.store.get_online_features(
            features=["route_delays:departures_24h"],
            entity_rows=[{"origin": "JFK", "dest": "nowhere"}],
            full_feature_names=True,
        ).to_dict()
        self.assertEqual(answer["route_delays__departures_24h"], [None])
        self.assertEqual(answer["dest"], ["nowhere"])

    def test_errors_are_raised_by_class(self):
        collision = ["plane_delays:delay_24h", "carrier_delays:delay_24h"]
        cases = [
            (errors.FeatureViewNotFoundException, ["nothing:here"], "nothing"),
            (errors.FeastObjectNotFoundException, ["plane_delays:here"], "here"),
            (errors.FeatureNameCollisionError, collision, "delay_24h"),
            (errors.FeastError, ["route_delays:delay_24h"], "origin"),
        ]
        for kind, features, part in cases:
            with self.subTest(features), self.assertRaises(kind) as raised:
                self.read(features, tailnum=["N1"], carrier=["ZZ"])
            self.assertIn(part, str(raised.exception))

    def test_an_unknown_source_is_refused_at_once(self):
        """Not with a status that the client would retry for seconds."""
        started = time.monotonic()
        with self.assertRaises(urllib.error.HTTPError) as raised:
            post("/push", {"push_source_name": "nothing", "to": "online", "df": {}})
        self.assertEqual(raised.exception.code, 404)
        raised.exception.close()
        self.assertLess(time.monotonic() - started, 2)


if __name__ == "__main__":
    unittest.main()
