"""What the tests of the Feast client share: where the gateway is, and flights to push."""

import json
import os
import tempfile
import urllib.request
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float64, Int64, String

GATEWAY = os.environ["MERIDIAN_HTTP"].rstrip("/")
if "://" not in GATEWAY:
    GATEWAY = f"http://{GATEWAY}"
# From event to readable takes a tenth of a second; a busy machine may need more.
PATIENCE_S = 15

CONFIG = f"""
project: nyc
registry: registry.db
provider: local
online_store: {{type: remote, path: "{GATEWAY}"}}
entity_key_serialization_version: 3
"""


def unique(prefix):
    return f"{prefix}{uuid.uuid4().hex[:12]}"


def flights(plane, delays, event_time):
    """One flight per delay, a minute apart."""
    rows = len(delays)
    return {
        "tailnum": [plane] * rows,
        "event_id": [unique("feast-") for _ in delays],
        "carrier": ["ZZ"] * rows,
        "origin": ["JFK"] * rows,
        "dest": ["LAX"] * (rows - 1) + ["BOS"],
        "distance": [1000.0] * rows,
        "dep_delay": delays,
        event_time: [now() - timedelta(minutes=rows - i) for i in range(rows)],
    }


def now():
    return datetime.now(timezone.utc)


def post(path, body):
    request = urllib.request.Request(GATEWAY + path, json.dumps(body, default=str).encode())
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.headers, response.read()


class Repo:
    """A Feast repository whose online store is the gateway."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory()
        (Path(self.dir.name) / "feature_store.yaml").write_text(CONFIG)
        self.store = FeatureStore(repo_path=self.dir.name)

    def close(self):
        self.dir.cleanup()

    def read(self, features, **entities):
        rows = self.store.get_online_features(
            features=features,
            entity_rows=[dict(zip(entities, row)) for row in zip(*entities.values())],
        )
        return rows.to_dict()

    def apply_push_source(self):
        """What `FeatureStore.push` needs to know of the source."""
        path = f"{self.dir.name}/none.parquet"
        files = FileSource(path=path, timestamp_field="event_timestamp",
                           created_timestamp_column="created")
        source = PushSource(name="departures", batch_source=files)
        plane = Entity(name="plane", join_keys=["tailnum"], value_type=ValueType.STRING)
        text = ["event_id", "carrier", "origin", "dest"]
        schema = [Field(name=name, dtype=String) for name in ["tailnum", *text]]
        schema += [Field(name="distance", dtype=Float64), Field(name="dep_delay", dtype=Int64)]
        view = FeatureView(name="departures", entities=[plane], schema=schema, source=source)
        columns = pd.DataFrame(flights("none", [0], "event_timestamp")).assign(created=now())
        columns.to_parquet(path)
        self.store.apply([plane, source, view])

    def push(self, plane, delays):
        df = pd.DataFrame(flights(plane, delays, "event_timestamp")).assign(created=now())
        self.store.push("departures", df)
