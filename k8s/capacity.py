#!/usr/bin/env python3
"""The capacity plan: reads the inputs from k8s/capacity.md, and computes what follows from them.

    capacity.py --write     writes the computed tables into capacity.md
    capacity.py --check     exit 1 when they, or overlay production (kubectl in PATH), say something else
"""

import math
import pathlib
import re
import subprocess
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE / "capacity.md"
GROUPS = 64
PARTITIONS = 24
MONEY_DAYS, OTHER_DAYS, COPIES = 35, 3, 3
# Of a Redis pod's maxmemory: its memory (a rewrite of the log copies the pages that are written to meanwhile; buffers) and its disk
# (the log grows to twice what it was written anew with, the new one stands beside it, and as much as both again is room).
REDIS_MEMORY, REDIS_DISK = 2, 6
# For the loss of a zone of three, and of a node besides.
LEAST = {"bidders": 6, "others": 3, "masters": 3, "brokers": 3}
# What a bidder holds besides campaigns, twice the campaigns while a snapshot replaces another, and room.
BIDDER_BASE_BYTES = 300 * 2**20


def rows(text, first_header):
    """Of the table whose first column has that name: a dictionary each."""
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    header = cells(lines[begin])
    end = next(i for i in range(begin, len(lines)) if not lines[i].startswith("|"))
    return [dict(zip(header, cells(line), strict=True)) for line in lines[begin + 2 : end]]


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def inputs(text):
    measured, _, assumed = text.partition("## Assumed")
    found = {row["input"]: float(row["value"]) for part in (measured, assumed) for row in rows(part, "input")}
    return type("Inputs", (), found)


def steps(text):
    return [{"step": row["step"]} | {k: float(v) for k, v in row.items() if k != "step"} for row in rows(text, "step")]


def per_request(i):
    """What follows one bid request, on average."""
    wins = i.bid_share * i.win_share
    losses = i.bid_share * (1 - i.win_share) * i.loss_share
    billed = wins * i.billed_share
    clicks = billed * i.click_share
    return {
        "wins": wins,
        "losses": losses,
        "billed": billed,
        # A billing notice and the creative's own pixel.
        "notices": wins + losses + 2 * billed + clicks,
        "combinations": i.bid_share / i.bids_a_combination,
        # Impressions, and the spend that follows a billing.
        "events": wins + losses + 2 * billed + clicks,
        "money_bytes": (wins + billed) * i.event_bytes,
        "other_bytes": (losses + billed + clicks) * i.event_bytes + i.bid_share / i.bids_a_combination * i.combination_bytes,
    }


def plan(i, step):
    """Of one region; a region has its share of everything but the campaigns, which every bidder knows."""
    each = per_request(i)
    mean = step["requests"] / step["regions"]
    peak = mean * i.peak
    request_us = i.bid_cpu_us + each["notices"] * i.notice_cpu_us
    pod_requests = math.floor(step["pod_cores"] * i.bidder_load / request_us * 1e6 / 100) * 100
    bidders = max(LEAST["bidders"], math.ceil(peak / pod_requests))
    notices_cores = peak * (each["wins"] + each["billed"]) / i.settlements
    heartbeat_cores = bidders * (GROUPS / i.scripts + step["live_campaigns"] / i.renewals)
    ledger_masters = max(LEAST["masters"], math.ceil((notices_cores + heartbeat_cores) / i.redis_load))
    user_cores = peak * (i.user_share + each["billed"]) / i.scripts
    user_gb = step["users"] / step["regions"] * i.user_bytes / 1e9
    ledger_gb = mean * each["billed"] * i.settled_hours * 3600 * i.settled_bytes / 1e9
    user_masters = max(LEAST["masters"], math.ceil(user_cores / i.redis_load), math.ceil(user_gb / i.master_gb))
    fold_cores = peak * (each["combinations"] + each["events"]) / i.events_folded
    kafka_mb = peak * (each["money_bytes"] + each["other_bytes"]) / 1e6
    stored = mean * 86_400 * (each["money_bytes"] * MONEY_DAYS + each["other_bytes"] * OTHER_DAYS) * COPIES
    bidder_bytes = BIDDER_BASE_BYTES + 2 * step["campaigns"] * i.campaign_bytes
    analytics = max(LEAST["others"], math.ceil(fold_cores / i.other_load))
    brokers = max(LEAST["brokers"], math.ceil(kafka_mb / i.broker_mb), math.ceil(stored / 1e12 / i.broker_tb))
    return {
        "mean": mean,
        "peak": peak,
        "request_us": request_us,
        "pod_requests": pod_requests,
        "bidders": bidders,
        "bidder_cores": bidders * step["pod_cores"],
        "bidder_gib": max(1, math.ceil(bidder_bytes / 2**30)),
        "ready_s": step["campaigns"] / i.campaigns_read,
        "notices_cores": notices_cores,
        "heartbeat_cores": heartbeat_cores,
        "ledger_masters": ledger_masters,
        "ledger_gb": ledger_gb,
        "user_masters": user_masters,
        "user_gb": user_gb,
        # Users and ledger in one Cluster, as the first step has it.
        "redis_gib": math.ceil((user_gb + ledger_gb) * 1e9 / max(ledger_masters, user_masters) / i.redis_full / 2**30),
        "fold_cores": fold_cores,
        "analytics": analytics,
        "partitions": max(PARTITIONS, math.ceil(kafka_mb / i.partition_mb / 24) * 24, math.ceil(2 * analytics / 24) * 24),
        "kafka_mb": kafka_mb,
        "brokers": brokers,
        "kafka_tb": stored / 1e12,
        # In hundreds, as disks are asked for.
        "broker_gib": math.ceil(stored / brokers / i.disk_full / 2**30 / 100) * 100,
        "cores": bidders * step["pod_cores"] + analytics + 2 * (ledger_masters + user_masters) + 4 * brokers + 3,
        "in_gbit": peak * i.request_bytes * 8 / 1e9,
        "out_gbit": peak * i.bid_share * i.answer_bytes * 8 / 1e9,
        "api_writes": step["api_requests"] * i.api_write_share,
    }


def figure(value):
    """Three digits say enough."""
    if value and value < 1000:
        value = float(f"{value:.2g}")
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:g}"


LINES = [
    ("requests/s in the peak", lambda p, s: figure(p["peak"])),
    ("**bidders**: pods x cores", lambda p, s: f"{p['bidders']:,} x {s['pod_cores']:g}"),
    ("memory of each, GiB", lambda p, s: figure(p["bidder_gib"])),
    ("seconds until one is ready", lambda p, s: figure(p["ready_s"])),
    ("**analytics**: busy cores; pods", lambda p, s: f"{figure(p['fold_cores'])}; {p['analytics']}"),
    ("**campaign-service**: API writes/s", lambda p, s: figure(p["api_writes"])),
    ("**ledger** (Redis): busy cores of notices", lambda p, s: figure(p["notices_cores"])),
    ("busy cores of heartbeats", lambda p, s: figure(p["heartbeat_cores"])),
    ("masters, each with a replica", lambda p, s: figure(p["ledger_masters"])),
    ("settled bids, GB", lambda p, s: figure(p["ledger_gb"])),
    ("**users** (Redis): GB", lambda p, s: figure(p["user_gb"])),
    ("masters, each with a replica", lambda p, s: figure(p["user_masters"])),
    ("**Kafka**: MB/s in the peak", lambda p, s: figure(p["kafka_mb"])),
    ("brokers (4 cores each); partitions a topic", lambda p, s: f"{p['brokers']}; {p['partitions']}"),
    ("disks, TB, three copies", lambda p, s: figure(p["kafka_tb"])),
    ("a broker's disk, GiB", lambda p, s: figure(p["broker_gib"])),
    ("network in; out, Gbit/s", lambda p, s: f"{figure(p['in_gbit'])}; {figure(p['out_gbit'])}"),
    ("cores, all together, about", lambda p, s: figure(p["cores"])),
]


def plan_table(i, every):
    plans = [plan(i, step) for step in every]
    heads = [s["step"] + (f", each of {s['regions']:.0f} regions" if s["regions"] > 1 else "") for s in every]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(every)]
    return lines + [f"| {name} | " + " | ".join(say(p, s) for p, s in zip(plans, every, strict=True)) + " |" for name, say in LINES]


def arithmetic(i, every):
    step, each = every[0], per_request(i)
    p = plan(i, step)
    return [
        f"- notices a request: wins {i.bid_share:g} x {i.win_share:g} = {each['wins']:.4g}, losses {i.bid_share:g} x {1 - i.win_share:g} x "
        f"{i.loss_share:g} = {each['losses']:.4g}, billings and pixels 2 x {each['billed']:.4g}, clicks: {each['notices']:.4f}",
        f"- a request with its notices: {i.bid_cpu_us:g} + {each['notices']:.4f} x {i.notice_cpu_us:g} = {p['request_us']:.1f} µs; "
        f"a pod of {step['pod_cores']:g} core at {i.bidder_load:g}: {p['pod_requests']:,} requests/s, rounded down to hundreds",
        f"- bidders: {p['peak']:,.0f} / {p['pod_requests']:,} = {p['peak'] / p['pod_requests']:.1f} pods, at least {LEAST['bidders']}",
        f"- memory: 300 MiB + 2 x {step['campaigns']:,.0f} x {i.campaign_bytes:,.0f} bytes (the old snapshot while a new one is made), at least 1 GiB",
        f"- ledger: {p['peak']:,.0f} x ({each['wins']:.4g} wins + {each['billed']:.4g} billings) / {i.settlements:,.0f} = {p['notices_cores']:.2f} cores; "
        f"heartbeats {p['bidders']} x ({GROUPS} / {i.scripts:,.0f} + {step['live_campaigns']:,.0f} / {i.renewals:,.0f}) = {p['heartbeat_cores']:.2f}; "
        f"masters at {i.redis_load:g}",
        f"- analytics: {p['peak']:,.0f} x ({each['combinations']:.3g} combinations + {each['events']:.3g} events) / {i.events_folded:,.0f} = {p['fold_cores']:.3f} cores",
        f"- Kafka: {p['peak']:,.0f} x {each['money_bytes'] + each['other_bytes']:.1f} bytes = {p['kafka_mb']:.1f} MB/s; disks: mean x 86,400 s x "
        f"({each['money_bytes']:.1f} bytes x {MONEY_DAYS} days + {each['other_bytes']:.1f} x {OTHER_DAYS}) x {COPIES} copies = {p['kafka_tb']:.2f} TB; a broker's: / {p['brokers']} / {i.disk_full:g} full, rounded up to hundreds of GiB = {p['broker_gib']:,}",
        f"- Redis, ledger and users in one Cluster: ({p['ledger_gb']:.2f} + {p['user_gb']:.2f}) GB / {p['user_masters']} masters / {i.redis_full:g} full "
        f"= {(p['ledger_gb'] + p['user_gb']) / p['user_masters'] / i.redis_full:.2f} GB, rounded up to GiB = {p['redis_gib']}",
    ]


def production(i, every):
    """What overlay production must say: object and field -> value."""
    step = every[0]
    p = plan(i, step)
    ceiling = math.ceil(1.5 * 2 * p["peak"] / p["pod_requests"])
    return {
        ("bidding-service", "requests/s a pod"): (p["pod_requests"], "the plan's pod"),
        ("bidding-service", "processor, %"): (round(i.bidder_load * 100), "the same load"),
        ("bidding-service", "least pods"): (max(LEAST["bidders"], math.ceil(p["mean"] / p["pod_requests"])), "the mean, and two a zone"),
        ("bidding-service", "most pods"): (ceiling, "twice the peak with a zone lost"),
        ("bidding-service", "cores asked for"): (f"{step['pod_cores']:g}", "the plan's pod"),
        ("bidding-service", "memory asked for"): (f"{p['bidder_gib']}Gi", "the plan's pod"),
        ("analytics-service", "processor, %"): (round(i.other_load * 100), "late is not lost"),
        ("analytics-service", "least pods"): (p["analytics"], "one a zone"),
        ("analytics-service", "most pods"): (PARTITIONS // 2, "two partitions each"),
        ("campaign-service", "requests/s a pod"): (100, "the seed's"),
        ("campaign-service", "least pods"): (LEAST["others"], "one a zone"),
        ("campaign-service", "most pods"): (
            min(20, math.floor(i.api_writes / i.api_write_share / 100)),
            f"the seed's 20 at most; {i.api_writes:,.0f} writes/s of the database are {i.api_writes / i.api_write_share:,.0f} calls/s",
        ),
        ("redis-cluster", "nodes"): (2 * max(p["ledger_masters"], p["user_masters"]), "the plan's masters, each with a replica"),
        ("redis-cluster", "maxmemory"): (f"{p['redis_gib']}gb", "users and ledger"),
        ("redis-cluster", "memory asked for"): (f"{REDIS_MEMORY * p['redis_gib']}Gi", "twice that: a rewrite of the log, buffers"),
        ("redis-cluster", "disk"): (f"{REDIS_DISK * p['redis_gib']}Gi", "six times that: the log, the one that replaces it, room"),
        ("kafka", "nodes"): (p["brokers"], "the plan's brokers"),
        ("kafka", "disk"): (f"{p['broker_gib']}Gi", "the plan's broker"),
    }


def production_table(i, every):
    lines = ["| of | what | value | from |", "|---|---|---|---|"]
    return lines + [f"| {service} | {what} | {value} | {why} |" for (service, what), (value, why) in production(i, every).items()]


def rendered():
    done = subprocess.run(["kubectl", "kustomize", str(HERE / "overlays/production")], capture_output=True, text=True, check=True)
    found = {}
    for o in yaml.load_all(done.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if o["kind"] == "HorizontalPodAutoscaler":
            service, spec = o["spec"]["scaleTargetRef"]["name"], o["spec"]
            found[service, "least pods"], found[service, "most pods"] = spec["minReplicas"], spec["maxReplicas"]
            for metric in spec["metrics"]:
                if metric["type"] == "Pods":
                    found[service, "requests/s a pod"] = int(metric["pods"]["target"]["averageValue"])
                else:
                    found[service, "processor, %"] = metric["resource"]["target"]["averageUtilization"]
        elif o["kind"] == "Deployment":
            requests = o["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
            found[o["metadata"]["name"], "cores asked for"] = requests["cpu"]
            found[o["metadata"]["name"], "memory asked for"] = requests["memory"]
        elif o["kind"] == "StatefulSet":
            container, name = o["spec"]["template"]["spec"]["containers"][0], o["metadata"]["name"]
            found[name, "nodes"] = o["spec"]["replicas"]
            found[name, "maxmemory"] = next((one["value"] for one in container["env"] if one["name"] == "REDIS_MAXMEMORY"), "redis.conf's")
            found[name, "memory asked for"] = container["resources"]["requests"]["memory"]
            found[name, "disk"] = o["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
        elif o["kind"] == "KafkaNodePool":
            name = o["metadata"]["labels"]["strimzi.io/cluster"]
            found[name, "nodes"] = o["spec"]["replicas"]
            found[name, "disk"] = o["spec"]["storage"]["volumes"][0]["size"]
    return found


def written(text):
    i, every = inputs(text), steps(text)
    parts = {"plan": plan_table(i, every), "arithmetic": arithmetic(i, every), "production": production_table(i, every)}
    for name, lines in parts.items():
        whole = f"<!-- capacity.py: {name} -->\n" + "\n".join(lines) + "\n<!-- end -->"
        text = re.sub(rf"<!-- capacity.py: {name} -->\n.*?<!-- end -->", lambda _, whole=whole: whole, text, flags=re.DOTALL)
    return text


def main():
    text = DOCUMENT.read_text(encoding="utf-8")
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(written(text), encoding="utf-8")
        return
    if sys.argv[1:] != ["--check"]:
        sys.exit(__doc__)
    mistakes = [] if written(text) == text else ["k8s/capacity.md: its tables do not follow from its inputs: k8s/capacity.py --write"]
    for step in steps(text):
        if (masters := plan(inputs(text), step)["ledger_masters"]) > GROUPS:
            mistakes.append(f"step {step['step']}: {masters} masters of the ledger, and it has {GROUPS} groups: more regions")
    there = rendered()
    for (service, what), (value, _) in production(inputs(text), steps(text)).items():
        if (found := there.get((service, what))) != value:
            mistakes.append(f"overlay production, {service}: {what} is {found}, and the plan says {value}")
    print("\n".join(mistakes) or "ok: document, plan and production agree")
    sys.exit(bool(mistakes))


if __name__ == "__main__":
    main()
