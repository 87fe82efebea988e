#!/usr/bin/env python3
"""The two collectors over the running services: traces whole, log lines with every field, and nothing lost on the way.

collectors.py PROGRAMS COLLECTOR: the folder of the services, and the collector that collectors.sh builds.

Every line that the services wrote must arrive once, with its time, severity, trace, message and fields, and every span that they
sent. One trace must hold spans of all three services, each with its parent. Then what nodes do to logs: parts, rotation, a
container's second start, text that is none of ours; and whoever keeps the logs is away while the collector is killed.
"""
import collections
import datetime
import json
import re
import sys
import tempfile
import time
import urllib.error
import urllib.request

from node import Node, Pod, attributes
from stage import HERE, KEY, PODS, ask, wait
from traffic import CAMPAIGN, Traffic, campaigns, made

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SEVERITIES = {"ERROR": 17, "WARN": 13, "INFO": 9}
TRAFFIC_S = 5
# A pod that the services do not run: what else may stand in a log.
STRANGER = "bidding-9"


def traced(url, body=None):
    """As a caller asks who is a part of TRACE."""
    request = urllib.request.Request(url, data=body and json.dumps(body).encode(), headers={
        "authorization": f"Bearer {KEY}", "content-type": "application/json", "traceparent": f"00-{TRACE}-{CALLER}-01"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def traces(node):
    found = collections.defaultdict(dict)
    for resource, span in node.spans():
        found[span["traceId"]][span["spanId"]] = (resource["service.name"], span["name"], span.get("parentSpanId", ""))
    return found


def is_whole(spans, caller=""):
    return all(parent in spans or parent == caller for _, _, parent in spans.values())


def whole_trace(node):
    """A caller makes a campaign and reads a report: all three services are in its trace."""
    api = node.url("campaign-1")
    advertiser = made(f"{api}/advertisers", {"name": "Traced"})
    traced(f"{api}/campaigns", CAMPAIGN | {"advertiser_id": advertiser})
    traced(f"{api}/analytics/report?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z")
    names = {("campaign-service", "POST /campaigns"), ("campaign-service", "publish"), ("bidding-service", "take into the index"),
             ("campaign-service", "forward to analytics-service"), ("analytics-service", "GET /analytics/report")}
    wait("one trace through all three services, each span with its parent", lambda: names <= {
        (service, name) for service, name, _ in traces(node)[TRACE].values()} and is_whole(traces(node)[TRACE], CALLER))
    print(*sorted(f"    {service}: {name}" for service, name, _ in traces(node)[TRACE].values()), sep="\n")


def whole_bids(node):
    notices = {"bid", "parse", "decide", "answer", "win notice", "billing notice", "add to the reports"}
    found = [trace for trace, spans in traces(node).items() if notices <= {name for _, name, _ in spans.values()}]
    torn = [trace for trace in found if not is_whole(traces(node)[trace])]
    if not found or torn:
        sys.exit(f"FAILED: {len(found)} bids were traced to the reports, {len(torn)} of them with spans that have no parent")
    print(f"ok: {len(found)} bids from request to reports, each one trace")


def counted(node, name):
    return sum(int(value) for pod in PODS for value in re.findall(
        rf"^{name}\S* (\d+)", ask(f"http://127.0.0.1:{node.ports[pod][1]}/metrics").decode(), re.M))


def no_span_lost(node):
    wait("every span that was sent is kept", lambda: counted(node, "trace_spans_exported_total") == len(node.spans()))
    strangers = [resource for resource, _ in node.spans() if resource.get("k8s.pod.name") not in PODS]
    if strangers:
        sys.exit(f"FAILED: spans that do not say of which pod they are: {strangers[:3]}")
    print(f"ok: {len(node.spans())} spans in {len(traces(node))} traces, {counted(node, 'trace_spans_dropped_total')} dropped")


def documented():
    return set(re.findall(r"^\| `(\w+)`", open(f"{HERE}/logs.md").read(), re.M))


def nanos(timestamp):
    moment = datetime.datetime.fromisoformat(timestamp)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def expected(pod, line):
    """What must be kept of a line; None: nothing."""
    of = {"k8s.namespace.name": "ad-platform", "k8s.pod.name": pod.name, "k8s.container.name": pod.container, "service.name": pod.container}
    try:
        fields = json.loads(line)
    except ValueError:
        return as_text([of, line])
    if fields["level"] not in SEVERITIES:
        return None
    message = fields.pop("message")
    return as_text([of, message, nanos(fields["timestamp"]), SEVERITIES[fields["level"]], fields.get("trace_id", ""), fields])


def kept(resource, record):
    of = {key: value for key, value in resource.items() if key not in ("k8s.pod.uid", "k8s.container.restart_count")}
    fields = {key: value for key, value in attributes(record).items() if not key.startswith("log.")}
    message = record["body"]["stringValue"]
    if not fields:
        return as_text([of, message])
    return as_text([of, message, int(record["timeUnixNano"]), record["severityNumber"], record.get("traceId", ""), fields])


def as_text(of):
    return json.dumps(of, sort_keys=True)


def no_line_lost(node, stranger):
    def difference():
        wanted = collections.Counter(filter(None, (expected(pod, line) for pod in pods for line in list(pod.lines))))
        found = collections.Counter(kept(*one) for one in node.records())
        return wanted - found, found - wanted

    pods = [*node.pods.values(), stranger]
    end = time.monotonic() + 60
    while any(difference()) and time.monotonic() < end:
        time.sleep(0.5)
    missing, unasked = difference()
    if missing or unasked:
        print(*(f"missing {count} x {text}" for text, count in missing.most_common(5)), sep="\n")
        print(*(f"unasked {count} x {text}" for text, count in unasked.most_common(5)), sep="\n")
        sys.exit(f"FAILED: {missing.total()} lines are missing, {unasked.total()} were not asked for")
    records = node.records()
    unknown = {name for _, record in records for name in attributes(record) if not name.startswith("log.")} - documented()
    if unknown:
        sys.exit(f"FAILED: fields that logs.md does not have: {unknown}")
    print(f"ok: {sum(len(pod.lines) for pod in pods)} lines, {len(records)} kept, each once with its fields")


def line(message, level="INFO", **fields):
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return json.dumps({"timestamp": now, "level": level, "target": "bidding_service", "service": "bidding-service", "version": "0.1.0",
                       "message": message} | fields)


def fault_is_found(node):
    """From the trace of a call that failed to the line that says why."""
    node.kill("analytics-1")
    try:
        traced(f"{node.url('campaign-1')}/analytics/report?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z")
        sys.exit("FAILED: a report without analytics-service")
    except urllib.error.HTTPError as answer:
        wanted = answer.headers["x-request-id"]
    said = wait("the line about a call that failed has its trace and its request", lambda: [
        record["body"]["stringValue"] for resource, record in node.records() if record.get("traceId") == TRACE
        and attributes(record).get("request_id") == wanted and resource["service.name"] == "campaign-service"])
    print(f"    {said[0]}")
    node.service("analytics-1")


def odd_lines(node, stranger):
    stranger.started()
    stranger.write(line("a line in parts", error="x" * 40_000))
    stranger.write("thread 'main' panicked at crates/x.rs:1:1:")
    stranger.write('{"not": "ours"')
    stranger.write(line("too fine", "DEBUG"))
    stranger.write(line("with numbers", offset=2**53 + 1, ms=12.5, left_out=3))
    no_line_lost(node, stranger)
    for at in range(50):
        stranger.write(line("before", offset=at))
    stranger.rotate()
    for at in range(50):
        stranger.write(line("after", offset=at))
    stranger.started()
    stranger.write(line("second start"))
    no_line_lost(node, stranger)


def keeper_is_away(node, stranger):
    """Long enough for lines to be read that cannot be sent; then both ends are started anew."""
    node.end("keeper")
    for at in range(2000):
        stranger.write(line("while nobody keeps", offset=at))
    time.sleep(8)
    node.kill("logs-collector")
    for at in range(50):
        stranger.write(line("while nobody reads", offset=at))
    node.collect("logs")
    node.keep()
    no_line_lost(node, stranger)


def main():
    with tempfile.TemporaryDirectory() as work:
        node = Node(*sys.argv[1:3], work, LOG_LEVEL="debug", BID_TRACE_RATIO="1")
        stranger = Pod(f"{work}/pods", STRANGER, "bidding-service")
        traffic = Traffic(node)
        try:
            node.keep()
            node.collect("traces")
            node.collect("logs")
            node.start_services()
            campaigns(node)
            whole_trace(node)
            traffic.begin()
            time.sleep(TRAFFIC_S)
            traffic.ended.set()
            for child in [name for name in node.children if name.startswith("load-")]:
                node.kill(child)
            no_span_lost(node)
            whole_bids(node)
            no_line_lost(node, stranger)
            fault_is_found(node)
            odd_lines(node, stranger)
            keeper_is_away(node, stranger)
            print(*(f"ok: the collector of {part} took {node.most_memory_mib(part)} MiB at most" for part in node.health), sep="\n")
        except BaseException:
            for name, text in node.logs():
                print(f"== {name}\n{text[-3000:]}")
            raise
        finally:
            traffic.ended.set()
            node.stop()


if __name__ == "__main__":
    main()
