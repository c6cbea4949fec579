"""`meridian up` on Kafka in a directory of its own, and what can be asked of it."""
import http.client, json, os, random, signal, socket, subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MERIDIAN = ROOT / "target/release/meridian"
KAFKA = ROOT / "target/kafka"
PARTITIONS = 4
# How long anything may take.
PATIENCE_S = 180


def until(what, done, every_s=0.2):
    """What `done` returns, once that is something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = done()
        if found:
            return found
        time.sleep(every_s)
    raise TimeoutError(f"{what}: not within {PATIENCE_S} s")


def cpu_s(pid):
    """User and system time of a process."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def cores_busy_s():
    """What all cores have worked since the machine started."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def free_ports(count):
    """The first of neighbouring ports that nobody listens on, below those that clients are given."""
    while True:
        base, held = random.randrange(10_000, 30_000), []
        try:
            for port in range(base, base + count):
                held.append(socket.create_server(("127.0.0.1", port)))
            return base
        except OSError:
            continue
        finally:
            for listener in held:
                listener.close()


def post(connection, path, body):
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read() or b"null"), response.getheader("x-meridian-token")


class Mesh:
    """Its processes end with the `with` that it is made in; at the latest with this process."""

    def __init__(self, dir, regions, *options):
        self.data, self.log = dir / "mesh", dir / "up.log"
        catalog = dir / "catalog"
        catalog.mkdir(parents=True)
        text = (ROOT / "examples/departures/catalog/departures.yaml").read_text()
        text = text.replace("    topic: departures\n", f"    topic: departures\n    partitions: {PARTITIONS}\n")
        (catalog / "departures.yaml").write_text(text)
        self.command = [
            MERIDIAN, "up", "--catalog", catalog, "--regions", ",".join(regions), "--data", self.data, "--exit-with-parent",
            "--base-port", str(free_ports(len(regions))), "--kafka", "start", "--kafka-home", KAFKA, *options]

    def __enter__(self):
        with open(self.log, "w") as log:
            # It ends when this pipe does.
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.PIPE)
        try:
            until("a mesh that is up", self.up)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(f"up said: {self.log.read_text()[-2000:]}", file=sys.stderr)
        # Twice is at once.
        for end in [signal.SIGTERM, signal.SIGTERM, signal.SIGKILL]:
            self.process.send_signal(end)
            try:
                self.process.wait(30)
                return
            except subprocess.TimeoutExpired:
                continue

    def up(self):
        if self.process.poll() is not None:
            raise ChildProcessError("meridian up ended")
        try:
            supervisor = self.describe()["supervisor"]
        except FileNotFoundError:
            return False
        return supervisor and supervisor["ready"]

    def describe(self):
        return json.loads((self.data / "mesh.json").read_text())

    def of(self, region):
        return self.describe()["regions"][region]

    def bootstrap(self, region):
        return self.of(region)["kafka"]["bootstrap"]

    def node_pid(self, region):
        return self.of(region)["node"]["pid"]

    def gateway(self, region):
        return http.client.HTTPConnection(self.of(region)["gateway"]["http"].removeprefix("http://"), timeout=30)

    def run(self, *args):
        subprocess.run([MERIDIAN, *args, "--data", self.data], check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE_S)

    def status(self, region):
        """Empty while it does not answer."""
        said = subprocess.run([MERIDIAN, "status", "--json", "--data", self.data], text=True, capture_output=True, timeout=PATIENCE_S).stdout
        return json.loads(said or "{}").get("regions", {}).get(region, {})

    def settled(self, region):
        """Its status, if this region holds all that it can know, proven."""
        status = self.status(region)
        origins = status.get("origins") or []
        done = origins and status["ready"] and all(o["proven_shards"] == status["shards"] and not o["lag"] for o in origins)
        return status if done else None

    def lag(self, region):
        """Events that its own region has not folded: of the view that is furthest behind, over all partitions."""
        by_plan = {}
        for origin in until("a status", lambda: self.status(region).get("origins")):
            if origin["region"] == region:
                by_plan[origin["plan"]] = by_plan.get(origin["plan"], 0) + (origin["lag"] or 0)
        return max(by_plan.values(), default=0)

    def delta_bytes(self, region, of=None):
        """Bytes of a region's delta topic, or of its copy of another region's."""
        topic = ("" if of is None else f"{of}.") + "mesh-deltas-departures-"
        segments = list((self.data / region / "broker/data").glob(f"{topic}*/*.log"))
        return sum(segment.stat().st_size for segment in segments), len(segments)
