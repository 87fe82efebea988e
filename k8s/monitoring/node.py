"""What a node and whoever keeps logs and traces do around the two collectors: for collectors.py and pictures.py.

The collectors run with the configuration of logs/ and traces/, whose addresses and folders alone are replaced.
"""
import json
import os
import re
import threading
import time
import uuid

from stage import HERE, PODS, Stage, ask, free_port, wait

# A runtime writes longer lines in parts.
PART_BYTES = 16 * 1024
KEEPER = """
receivers: {otlp: {protocols: {http: {endpoint: "%s"}}}}
exporters: {file/traces: {path: %s, append: true}, file/logs: {path: %s, append: true}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file/traces]}
    logs: {receivers: [otlp], exporters: [file/logs]}
"""


class Pod:
    """Its one container's log, as a runtime writes it for a kubelet."""

    def __init__(self, folder, name, container):
        self.name, self.container, self.lines = name, container, []
        self.folder = f"{folder}/ad-platform_{name}_{uuid.uuid4()}/{container}"
        self.lock, self.starts = threading.Lock(), -1

    def started(self):
        """Each start of a container has a file of its own."""
        os.makedirs(self.folder, exist_ok=True)
        self.starts += 1
        self.file = open(f"{self.folder}/{self.starts}.log", "ab", buffering=0)

    def write(self, line):
        with self.lock:
            self.lines.append(line)
            data = line.encode()
            parts = [data[at:at + PART_BYTES] for at in range(0, len(data), PART_BYTES)] or [b""]
            for part in parts:
                moment = time.time_ns()
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 10**9)) + f".{moment % 10**9:09}Z"
                self.file.write(f"{stamp} stdout {'F' if part is parts[-1] else 'P'} ".encode() + part + b"\n")

    def rotate(self):
        """As a kubelet does: the file is put aside, and the runtime opens another."""
        with self.lock:
            path = f"{self.folder}/{self.starts}.log"
            os.rename(path, f"{path}.{time.strftime('%Y%m%d-%H%M%S')}")
            self.file.close()
            self.file = open(path, "ab", buffering=0)


class Node(Stage):
    """The stage, whose services write logs as pods do and send traces to the collector of them."""

    def __init__(self, programs, collector, work, **settings):
        self.collector, self.otlp, self.keeper = collector, free_port(), free_port()
        self.health = {part: free_port() for part in ("logs", "traces")}
        super().__init__(programs, work, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{self.otlp}", **settings)
        self.pods = {name: Pod(f"{work}/pods", name, service) for name, service in PODS.items()}
        os.makedirs(f"{work}/pods")
        os.makedirs(f"{work}/state")

    def output(self, name):
        if name not in self.pods:
            return super().output(name)
        reader, writer = os.pipe()
        self.pods[name].started()
        threading.Thread(target=self.follow, args=(self.pods[name], reader), daemon=True).start()
        return os.fdopen(writer, "wb")

    def start(self, command, name, **settings):
        """As k8s/base has it, a span says of which pod it is."""
        of = {"OTEL_RESOURCE_ATTRIBUTES": f"k8s.namespace.name=ad-platform,k8s.pod.name={name}"} if name in self.pods else {}
        super().start(command, name, **settings, **of)

    @staticmethod
    def follow(pod, reader):
        with os.fdopen(reader, errors="replace") as lines:
            for line in lines:
                pod.write(line.rstrip("\n"))

    def collect(self, part):
        """Starts the collector of `logs` or `traces`."""
        text = open(f"{HERE}/{part}/config.yaml").read()
        for ours, theirs in (("0.0.0.0:13133", f"127.0.0.1:{self.health[part]}"), ("0.0.0.0:4318", f"127.0.0.1:{self.otlp}"),
                             ("/var/log/pods", f"{self.work}/pods"), ("/var/lib/otelcol", f"{self.work}/state")):
            text = text.replace(ours, theirs)
        self.run_collector(f"{part}-collector", text, **{f"{part.upper()}_ENDPOINT": f"http://127.0.0.1:{self.keeper}"})
        wait(f"the collector of {part} is well", lambda: ask(f"http://127.0.0.1:{self.health[part]}/"))

    def keep(self):
        """Whoever keeps logs and traces: a collector that writes them to files."""
        self.run_collector("keeper", KEEPER % (f"127.0.0.1:{self.keeper}", self.kept("traces"), self.kept("logs")))

    def run_collector(self, name, config, **settings):
        with open(f"{self.work}/{name}.yaml", "w") as out:
            out.write(config)
        self.start([self.collector, f"--config={self.work}/{name}.yaml"], name, **settings)

    def most_memory_mib(self, part):
        status = open(f"/proc/{self.children[f'{part}-collector'].pid}/status").read()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024

    def end(self, name):
        """Lets it finish what it writes."""
        self.children[name].terminate()
        self.children.pop(name).wait()

    def kept(self, what):
        return f"{self.work}/kept-{what}.json"

    def batches(self, what, outer, inner, items):
        """(resource, item) of everything that was kept so far."""
        try:
            lines = open(self.kept(what)).read().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                batches = json.loads(line)[outer]
            except ValueError:
                continue  # is being written
            for batch in batches:
                resource = attributes(batch["resource"])
                for scope in batch[inner]:
                    for item in scope[items]:
                        yield resource, item

    def spans(self):
        return list(self.batches("traces", "resourceSpans", "scopeSpans", "spans"))

    def records(self):
        return list(self.batches("logs", "resourceLogs", "scopeLogs", "logRecords"))


def attributes(of):
    return {one["key"]: plain(one["value"]) for one in of.get("attributes", [])}


def plain(value):
    """A value of OTLP in JSON; integers are texts there."""
    kind, held = next(iter(value.items()), (None, None))
    return int(held) if kind == "intValue" else held
