"""One region on Kafka: how fast it folds a topic, beside Kafka Streams, and what it keeps up with."""
import itertools, json, shutil, subprocess, time
from concurrent.futures import ThreadPoolExecutor
from events import months, produce
from mesh import PARTITIONS, ROOT, Mesh, cpu_s, until

STREAMS = ROOT / "target/kafka-streams"
# Of the rate at which a topic is caught up with: what may be kept up with while events arrive.
SHARES = [0.9, 0.75, 0.6, 0.45, 0.3]


def throughput(dir, row, size):
    with Mesh(dir, ["ewr"]) as mesh:
        events = months("ewr")
        lines = list(itertools.islice(events, size.events))
        per_s, per_cpu_s = catch_up(mesh, row, lines)
        cold(mesh, row)
        streams(mesh, row, dir, len(lines), per_cpu_s)
        keep_up(mesh, row, events, per_s, size)


def catch_up(mesh, row, lines):
    """A node reads a topic from its start, as fast as it can. Its own start counts."""
    mesh.run("node", "stop", "ewr")
    produce(mesh.bootstrap("ewr"), lines)
    started = time.monotonic()
    mesh.run("node", "start", "ewr")
    status = until("all folded", lambda: mesh.settled("ewr"))
    seconds, cpu = time.monotonic() - started, cpu_s(mesh.node_pid("ewr"))
    counts = status["folded"]["departures"]
    if counts["late"] or counts["dead_lettered"] or counts["folded"] + counts["skipped"] != len(lines):
        raise RuntimeError(f"not all of {len(lines)} events are folded: {counts}")
    row(f"one region on Kafka, {len(lines):,} departures in {PARTITIONS} partitions, from a node's start until all is folded and proven",
        f"{len(lines) / seconds:,.0f} events/s, {len(lines) / cpu:,.0f} events per CPU-second of the node")
    return len(lines) / seconds, len(lines) / cpu


def cold(mesh, row):
    """A node without its checkpoint reads the delta topic from its start."""
    mesh.run("node", "stop", "ewr")
    shutil.rmtree(mesh.data / "ewr/node/checkpoint")
    size, _ = mesh.delta_bytes("ewr")
    started = time.monotonic()
    mesh.run("node", "start", "ewr")
    status = until("a node that is ready again", lambda: mesh.settled("ewr"))
    seconds = time.monotonic() - started
    row("a cold node (no checkpoint), from its start until all of the compacted delta topic is read and proven",
        f"{seconds:.1f} s for {status['panes']:,} panes in {size / 1e6:,.0f} MB: {status['panes'] / seconds:,.0f} panes/s, {size / 1e6 / seconds:,.0f} MB/s")


def streams(mesh, row, dir, events, ours_per_cpu_s):
    """The same features of the same topic in Kafka Streams, with the machine for itself."""
    mesh.run("node", "stop", "ewr")
    jars = [*(STREAMS / "libs").glob("*.jar"), *STREAMS.glob("departures-streams-*.jar")]
    command = ["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", ":".join(sorted(map(str, jars))),
               "meridian.DeparturesStreams", mesh.bootstrap("ewr"), "departures", str(PARTITIONS), dir / "streams"]
    with open(dir / "streams.log", "w") as log:
        ran = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=log, timeout=300)
    if ran.returncode != 0:
        raise ChildProcessError(f"Kafka Streams failed: {(dir / 'streams.log').read_text()[-4000:]}")
    said = json.loads(ran.stdout)
    mesh.run("node", "start", "ewr")
    if said["events"] != events:
        raise RuntimeError(f"Kafka Streams did not read all of {events} events: {said}")
    for part, name in [("all", "all of it"), ("second_half", "its second half")]:
        row(f"the same features in Kafka Streams 4.3, exactly_once_v2, the same topic, {name}",
            f"{said[part]['events_per_s']:,} events/s, {said[part]['events_per_cpu_s']:,} events per CPU-second of its process")
    row("updates of panes that Kafka Streams dropped, as one partition was read so far ahead of another", f"{said['dropped']:,}")
    row("Meridian over Kafka Streams' second half, events per CPU-second", f"{ours_per_cpu_s / said['second_half']['events_per_cpu_s']:.1f} x")


def keep_up(mesh, row, events, per_s, size):
    """The largest of some rates at which the lag does not grow while events arrive."""
    for share in SHARES:
        until("all folded", lambda: mesh.settled("ewr"))
        rate = int(per_s * share)
        lines = list(itertools.islice(events, rate * size.keep_up_s))
        pid = mesh.node_pid("ewr")
        cpu = cpu_s(pid)
        lags, seconds = lags_while(mesh, lambda: produce(mesh.bootstrap("ewr"), lines, rate))
        # One second's events are under way; more at the end than that, and it grows.
        if lags[-1] <= rate:
            until("all folded", lambda: mesh.settled("ewr"))
            row("one region on Kafka, events arriving from Kafka's console producer, the most of some rates at which lag does not grow",
                f"{len(lines) / seconds:,.0f} events/s for {seconds:.0f} s, lag at most {max(lags):,} events; {len(lines) / (cpu_s(pid) - cpu):,.0f} events per CPU-second of the node")
            return
    row("one region on Kafka, events arriving", f"lag grows at {rate:,} events/s too")


def lags_while(mesh, work):
    """The lag, once a second while this works, and how long it did."""
    lags, started = [], time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        while True:
            lags.append(mesh.lag("ewr"))
            if working.done():
                working.result()
                return lags, time.monotonic() - started
            time.sleep(1)
