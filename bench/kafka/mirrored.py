"""Three regions: how long an event takes to another region under load, and what crosses between them."""
import os, time
from events import Load, Now, push
from mesh import Mesh, cores_busy_s, post, until

REGIONS = ["ewr", "jfk", "lga"]
# The JVMs compile meanwhile.
WARM_UP_S = 15


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
        row(f"push in ewr until read with its token in lga, through {how}, at {rate:,.0f} of {size.events_per_s:,} events/s, {busy:.1f} of {os.cpu_count()} cores busy", told(taken))
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
    """ms from before a push here until it was read there, and whether that region itself served it."""
    events = now.take(1)
    started = time.monotonic()
    token = push(here, events)
    read = {"features": ["carrier_delays:departures_24h"], "entities": {"carrier": [events[0]["carrier"]]}, "mesh": {"token": token}}
    # A read waits for its token only so long.
    served_by = until("a pushed event elsewhere", lambda: served(there, read), 0)
    return (time.monotonic() - started) * 1000, served_by.startswith("lga")


def served(there, read):
    status, answer, _ = post(there, "/get-online-features", read)
    return answer["mesh"]["served_by"] if status == 200 else None


def told(taken):
    read = sorted(ms for ms, there in taken if there)
    at = lambda q: read[int(q * (len(read) - 1))]
    said = [f"p50 {at(0.5):.0f}, p99 {at(0.99):.0f} ms of {len(read)} probes"] if read else []
    said += [f"{len(taken) - len(read)} that another region served are left out"] if len(read) < len(taken) else []
    return "; ".join(said)
