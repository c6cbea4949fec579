"""Two nodes in a region: how long nobody folds when the one that holds partitions goes."""
import time
from events import Load
from mesh import PARTITIONS, Mesh, until


def handover(dir, row, size):
    with Mesh(dir, ["ewr"], "--nodes", "2") as mesh, Load(mesh, "ewr", size.events_per_s):
        for how, options in [("killed (SIGKILL)", ["--kill"]), ("stopped in order", [])]:
            taken = [gone(mesh, 1 + round % 2, options) for round in range(size.handovers)]
            row(f"handover of 2 of {PARTITIONS} partitions when a node is {how}, until the other has committed for all of them, at {size.events_per_s:,} events/s",
                f"{min(taken):.1f} to {max(taken):.1f} s ({len(taken)} times)")


def gone(mesh, victim, options):
    """s from when this node is gone until the other has committed, for each of its partitions, an event that came later."""
    held = until("shared partitions", lambda: shared(mesh))[victim - 1]
    started = time.monotonic()
    mesh.run("node", "stop", f"ewr/{victim}", *options)
    # The victim cannot have folded what was not there.
    ends = until("the ends of its partitions", lambda: ends_of(mesh, victim, held))
    until("the other commits", lambda: all(of(mesh, victim, held, "next").get(p, 0) > end for p, end in ends.items()), 0.05)
    seconds = time.monotonic() - started
    mesh.run("node", "start", f"ewr/{victim}")
    return seconds


def shared(mesh):
    """What each node folds, if both fold half."""
    nodes = mesh.status("ewr").get("nodes", [])
    held = [{claim["partition"] for claim in node.get("claims", []) if not claim["error"]} for node in nodes]
    return held if [len(partitions) for partitions in held] == [PARTITIONS // 2] * 2 and not held[0] & held[1] else None


def of(mesh, victim, held, what):
    """By partition, the least of this over the views, as the other node says."""
    found = {}
    for origin in mesh.status("ewr")["nodes"][2 - victim].get("origins", []):
        if origin["partition"] in held and origin[what] is not None:
            found[origin["partition"]] = min(origin[what], found.get(origin["partition"], origin[what]))
    return found


def ends_of(mesh, victim, held):
    ends = of(mesh, victim, held, "log_end")
    return ends if ends.keys() == held else None
