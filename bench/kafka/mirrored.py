"""Two regions: how long an event takes to another region under load, and what crosses between them."""
import os, time
from events import Load, Now, push
from mesh import Mesh, cores_busy_s, post, until

# Two, so that a machine of two cores has something left for them.
REGIONS = ["ewr", "lga"]
# The JVMs compile meanwhile.
WARM_UP_S = 15
LOOK_S = 0.01


def mirrored(dir, row, size, how, *options):
    with Mesh(dir, REGIONS, *options) as mesh:
        here, there, now = mesh.gateway("ewr"), mesh.gateway("lga"), Now("ewr")
        probe(here, there, now)
        before, _ = mesh.delta_bytes("lga", "ewr")
        with Load(mesh, "ewr", size.events_per_s) as load:
            probes(here, there, now, min(WARM_UP_S, size.latency_s))
            started, sent, busy = time.monotonic(), load.sent(), cores_busy_s()
            taken = probes(here, there, now, size.latency_s)
            seconds = time.monotonic() - started
            rate, busy = (load.sent() - sent) / seconds, (cores_busy_s() - busy) / seconds
        row(f"push in ewr until read in lga, of lga's own node, through {how}, at {rate:,.0f} of {size.events_per_s:,} events/s, {busy:.1f} of {os.cpu_count()} cores busy", told(taken))
        until("all regions settled", lambda: all(mesh.settled(region) for region in REGIONS))
        after, segments = mesh.delta_bytes("lga", "ewr")
        # A closed segment may have been compacted, and there are as many open ones as shards.
        whole = "" if segments == mesh.status("lga")["shards"] else ", some of it compacted"
        row(f"WAN bytes per event to one other region, through {how}, at this rate",
            f"{(after - before) / (load.sent() + now.made):,.0f}{whole}")


def probes(here, there, now, seconds):
    taken, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        taken.append(probe(here, there, now))
        time.sleep(0.05)
    return taken


def probe(here, there, now):
    """ms from before a push here, of a carrier that nobody has heard of, until that region itself has it."""
    event = dict(now.take(1)[0], carrier=f"probe-{now.made}")
    started = time.monotonic()
    push(here, [event])
    read = {"features": ["carrier_delays:departures_24h"], "entities": {"carrier": [event["carrier"]]}}
    until("a pushed event elsewhere", lambda: is_read(there, read), LOOK_S)
    return (time.monotonic() - started) * 1000


def is_read(there, read):
    status, answer, _ = post(there, "/get-online-features", read)
    return status == 200 and answer["mesh"]["served_by"].startswith("lga") and answer["results"][1]["values"] == [1]


def told(taken):
    read = sorted(taken)
    at = lambda q: read[int(q * (len(read) - 1))]
    return f"p50 {at(0.5):.0f}, p99 {at(0.99):.0f} ms of {len(read)} probes"
