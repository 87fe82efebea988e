#!/usr/bin/env python3
"""Rules, alerts, routes and dashboards on a real Prometheus and Alertmanager, over the running services.

live.py FOLDER: the folder has the programs campaign-service, bidding-service, analytics-service and adplatform.

Asks that every replica is scraped once, every recording rule yields data, the autoscalers' metrics are one series a pod,
and every panel's query and every query of a runbook is answered. Then four faults: late bids, answers of 5xx, a consumer that is killed, and a crash
loop (recorded: there is no cluster here). The alert of each must go pending, fire, reach whom it should, and resolve.
"""
import os
import re
import sys
import tempfile
import threading
import time

import yaml

from stage import HERE, PODS, Stage, panels, wait, windows_faster
from traffic import Traffic, campaigns

# On a slow machine a bid may be late; over the long windows one is enough.
TOLERATED = {"HighBidLatency", "BidErrorBudgetBurn"}
# Panels that are empty while all is well, or without backends.
MAY_BE_EMPTY = {"Stores that answer", "Events dropped or set aside", "Traces"}
# Alert, service where there are several, and who is told.
EXPECTED = [
    ("HighBidLatency", None, "/tickets"),
    ("HighErrorRate", "campaign-service", "/pager"),
    ("ServiceDown", "analytics-service", "/pager"),
    ("PodCrashLooping", None, "/pager"),
]


def scraped_once(stage):
    def once():
        up = stage.query('up{job="adplatform"} == 1') or []
        seen = sorted((one["metric"]["namespace"], one["metric"]["pod"], one["metric"]["service"]) for one in up)
        return seen == sorted(("ad-platform", pod, service) for pod, service in PODS.items())

    wait("every replica is scraped once, under its namespace, pod and service", once)


def recorded(stage):
    for file in sorted(os.listdir(f"{HERE}/rules")):
        for group in yaml.safe_load(open(f"{HERE}/rules/{file}"))["groups"]:
            for rule in group["rules"]:
                if name := rule.get("record"):
                    wait(f"{name} has data", lambda name=name: stage.query(name))


def autoscaling(stage):
    for rule in yaml.safe_load(open(f"{HERE}/adapter.yaml"))["rules"]:
        expr = rule["metricsQuery"].replace("<<.GroupBy>>", "namespace, pod")
        expr = windows_faster(expr.replace("<<.LabelMatchers>>", 'namespace="ad-platform",service="%s"' % service_of(rule)))
        pods = sorted(pod for pod, service in PODS.items() if service == service_of(rule))
        seen = lambda expr=expr: sorted(one["metric"].get("pod") for one in stage.query(expr) or [])
        wait(f"{rule['name']['as']} is one series a pod", lambda seen=seen, pods=pods: seen() == pods)


def service_of(rule):
    return "bidding-service" if rule["name"]["as"].startswith("bid") else "campaign-service"


def answered(stage):
    for board, panel, exprs in panels():
        what = f"{board['title']} / {panel['title']}"
        for expr in exprs:
            if stage.query(expr) is None:
                sys.exit(f"FAILED: {what}: {expr} is refused")
        if panel["title"] not in MAY_BE_EMPTY:
            wait(f"{what} shows something", lambda exprs=exprs: any(stage.query(expr) for expr in exprs))


def runbooks(stage):
    """What they say to ask of Prometheus."""
    text = open(f"{HERE}/runbooks.md").read()
    for quoted in re.findall(r"`([^`]+)`", text):
        expr = quoted.replace("\n", " ")
        if re.match(r"(sum|topk|max|min) ?\w*[ (]", expr):
            wait(f"a runbook's query is answered: {expr}", lambda expr=expr: stage.query(windows_faster(expr)) is not None)


def firing(stage):
    return {one["metric"]["alertname"] for one in stage.query('ALERTS{alertstate="firing"}') or []}


def selector(alert, service, state):
    of_service = f',service="{service}"' if service else ""
    return f'ALERTS{{alertname="{alert}"{of_service},alertstate="{state}"}}'


def seen_through(stage, traffic):
    wait("no alert while all is well", lambda: firing(stage) <= TOLERATED)
    wait("bids are in time", lambda: not stage.query('ALERTS{alertname="HighBidLatency"}'))
    began, already_told = time.time(), len(stage.told)
    traffic.slow.set()
    # What is forwarded to it is now answered 503 by campaign-service.
    stage.kill("analytics-1")
    mended = threading.Event()
    threading.Thread(target=crash_loop, args=(stage, mended), daemon=True).start()
    for alert, service, receiver in EXPECTED:
        pending = lambda: f'count_over_time({selector(alert, service, "pending")}[{int(time.time() - began) + 1}s])'
        wait(f"{alert} was pending", lambda: stage.query(pending()))
        wait(f"{alert} fires", lambda: stage.query(selector(alert, service, "firing")))
        wait(f"{receiver} is told of {alert}", lambda: (receiver, alert, service, "firing") in told(stage, already_told, service))
    traffic.slow.clear()
    mended.set()
    stage.service("analytics-1")
    for alert, service, receiver in EXPECTED:
        over = lambda: all(stage.query(selector(alert, service, state)) == [] for state in ("pending", "firing"))
        wait(f"{alert} is over", over)
        wait(f"{receiver} is told that {alert} is over",
             lambda: (receiver, alert, service, "resolved") in told(stage, already_told, service))


def told(stage, since, service):
    return [(path, alert, of if service else None, status) for path, alert, of, status in stage.told[since:]]


def crash_loop(stage, mended):
    while not mended.wait(0.5):
        stage.restarts += 1


def main():
    with tempfile.TemporaryDirectory() as work:
        stage = Stage(sys.argv[1], work)
        traffic = Traffic(stage)
        try:
            stage.start_services()
            campaigns(stage)
            traffic.begin()
            stage.start_alertmanager()
            stage.start_prometheus()
            scraped_once(stage)
            recorded(stage)
            autoscaling(stage)
            answered(stage)
            runbooks(stage)
            seen_through(stage, traffic)
        except BaseException:
            for expr in ("up", "ALERTS"):
                print(f"== {expr}", *(f"{one['metric']} {one['value'][1]}" for one in stage.query(expr) or []), sep="\n")
            for name, text in stage.logs():
                print(f"== {name}\n{text[-1500:]}")
            raise
        finally:
            traffic.ended.set()
            stage.stop()


if __name__ == "__main__":
    main()
