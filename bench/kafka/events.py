"""Departures to measure with: January over and over, from a file or as they happen now."""
import gzip, json, random, subprocess, threading, time
from datetime import datetime, timedelta
from mesh import KAFKA, ROOT, post

PUSHES_PER_S = 20


def january(region):
    with gzip.open(ROOT / f"examples/departures/data/{region}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def months(region):
    """Lines of JSON without end: months of 31 days, one after the other, with ids and dates of their own."""
    events, month = january(region), 0
    while True:
        for event in events:
            moved = dict(event, event_id=f"{month}-{event['event_id']}")
            if event.get("departed_at"):
                at = datetime.fromisoformat(event["departed_at"].replace("Z", "+00:00")) + timedelta(days=31 * month)
                moved["departed_at"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
            yield json.dumps(moved, separators=(",", ":")).encode() + b"\n"
        month += 1


def produce(bootstrap, lines, per_s=None):
    """Writes lines to the topic by Kafka's own producer, without keys: at once, or so many a second."""
    jars = ":".join(sorted(map(str, (KAFKA / "libs").glob("*.jar"))))
    command = ["java", "-cp", jars, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", bootstrap, "--topic", "departures"]
    producer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        due = time.monotonic()
        size = max(1, (per_s or 20_000) // 20)
        for at in range(0, len(lines), size):
            if per_s:
                time.sleep(max(0.0, due - time.monotonic()))
                due += 0.05
            producer.stdin.write(b"".join(lines[at:at + size]))
        producer.stdin.close()
        if producer.wait(60) != 0:
            raise ChildProcessError("kafka's console producer failed")
    finally:
        producer.kill()
        producer.wait()


class Now:
    """Events that happen now, of January's planes, carriers and routes."""

    def __init__(self, region):
        self.events, self.made = [event for event in january(region) if event.get("departed_at")], 0

    def take(self, count):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.made += count
        chosen = random.choices(self.events, k=count)
        return [dict(event, event_id=f"{id(self)}-{self.made}-{n}", departed_at=at) for n, event in enumerate(chosen)]


def push(connection, events):
    """Returns the token with which a read sees them."""
    columns = {key: [event.get(key) for event in events] for key in sorted({key for event in events for key in event})}
    status, answer, token = post(connection, "/push", {"push_source_name": "departures", "df": columns})
    if status != 200:
        raise RuntimeError(f"push: {status} {answer}")
    return token


class Load(threading.Thread):
    """So many events a second into a region by its gateway while the `with` lasts."""

    def __init__(self, mesh, region, per_s):
        super().__init__(daemon=True)
        self.at_once = max(1, per_s // PUSHES_PER_S)
        self.connection, self.events, self.over, self.error = mesh.gateway(region), Now(region), threading.Event(), None

    def run(self):
        due = time.monotonic()
        try:
            while not self.over.is_set():
                push(self.connection, self.events.take(self.at_once))
                due += 1 / PUSHES_PER_S
                time.sleep(max(0.0, due - time.monotonic()))
        except Exception as error:
            self.error = error

    def sent(self):
        return self.events.made

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        if self.error:
            raise self.error
