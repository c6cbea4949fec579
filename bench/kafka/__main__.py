"""Meridian's numbers on real Kafka: prints the rows of a table, which docs/benchmarks.md holds.

Everything is on loopback and ends with the run. What takes CPU time is read from /proc for
Meridian's nodes and told by the JVM of itself.
"""
import argparse, signal, sys, tempfile, traceback
from pathlib import Path
from handover import handover
from mirrored import mirrored
from throughput import throughput

PARTS = {
    "throughput": throughput,
    "handover": handover,
    "mirror-maker": lambda dir, row, size: mirrored(dir, row, size, "MirrorMaker 2"),
    "mirror": lambda dir, row, size: mirrored(dir, row, size, "`meridian mirror`", "--own-mirror"),
}


def row(what, measured):
    print(f"| {what} | {measured} |", flush=True)


def ran(name, dir, size):
    """One part that fails costs no other."""
    try:
        PARTS[name](dir, row, size)
        return True
    except Exception:
        traceback.print_exc()
        return False


def main():
    args = argparse.ArgumentParser(prog="scripts/bench-kafka", description=__doc__)
    args.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="only these")
    args.add_argument("--events", type=int, default=100_000, help="that are caught up with")
    args.add_argument("--keep-up-s", type=int, default=10, help="of each rate that is tried")
    args.add_argument("--latency-s", type=int, default=60, help="of probes under load")
    args.add_argument("--events-per-s", type=int, default=1_000, help="that come while nodes hand over and while probes are read")
    args.add_argument("--handovers", type=int, default=3, help="of each kind")
    size = args.parse_args()
    # Told to end, it unwinds, and the meshes end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    row("what", "measured")
    row("---", "---")
    with tempfile.TemporaryDirectory(prefix="bench-kafka-") as dir:
        failed = [name for name in size.parts if not ran(name, Path(dir) / name, size)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


main()
