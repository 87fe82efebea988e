#!/usr/bin/env python3
"""Whether the objectives burn, asked of Prometheus for a while: what a release must not do.

Counts what came since the watch began, and nothing of before: a release that mends a burning service is not blamed for it. Bad
is what the recording rules call bad (k8s/monitoring/rules/recording.yaml): a bid that is late, shed or lost to a panic; an API
call that ends in a 5xx. Burning is more than --burn times the objective's budget of 0.1 %, twice in a row; so is a critical alert
that was quiet when the watch began. An objective without traffic is no verdict.

Exit code: 0 well, 1 burning, 2 a wrong call, 3 no verdict: Prometheus does not answer, or there was too little traffic.
"""

import argparse
import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

BUDGET = 0.001
# As many failures to ask in a row are no accident.
PATIENCE = 3
OBJECTIVES = {
    "bids": (
        "sum(increase(bid_requests_total{{{labels}}}[{window}]))",
        '(sum(increase(bid_requests_total{{{labels},outcome=~"late|shed"}}[{window}])) or vector(0))'
        " + (sum(increase(bid_panics_total{{{labels}}}[{window}])) or vector(0))",
    ),
    "api": (
        'sum(increase(http_requests_total{{{labels},service=~"campaign-service|analytics-service"}}[{window}]))',
        'sum(increase(http_requests_total{{{labels},service=~"campaign-service|analytics-service",status=~"5.."}}[{window}])) or vector(0)',
    ),
}
WELL, BURNING, NO_VERDICT = 0, 1, 3


class Away(Exception):
    """Prometheus gave no answer that can be read."""


def ask(prometheus, query):
    url = f"{prometheus.rstrip('/')}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"]
    except (OSError, ValueError, KeyError) as error:
        raise Away(f"{prometheus}: {error}") from error


def number(prometheus, query):
    result = ask(prometheus, query)
    found = float(result[0]["value"][1]) if result else 0.0
    return found if found == found else 0.0  # NaN is unlike itself


def looked(options, since):
    """Requests and bad ones of each objective, `since` so many seconds ago."""
    labels = f'namespace="{options.namespace}"'
    if options.pods:
        labels += f',pod=~"{options.pods}"'
    window = f"{round(since * 1000)}ms"
    filled = {"labels": labels, "window": window}
    return {name: tuple(number(options.prometheus, query.format(**filled)) for query in OBJECTIVES[name]) for name in options.objective}


def critical(options):
    firing = ask(options.prometheus, f'ALERTS{{namespace="{options.namespace}",alertstate="firing",severity="critical"}}')
    return {alert["metric"]["alertname"] for alert in firing}


def watch(options, now=time.monotonic, sleep=time.sleep, say=print):
    begin, away, before, burned, seen = now(), 0, None, dict.fromkeys(options.objective, 0), {}
    while True:
        try:
            alerts = critical(options)
            before = alerts if before is None else before
            since = now() - begin
            seen = looked(options, since) if since * 1000 >= options.window else {}
            away = 0
        except Away as error:
            away += 1
            say(f"no answer: {error}")
            if away == PATIENCE:
                return NO_VERDICT
        else:
            for name, (requests, bad) in seen.items():
                burns = requests >= options.requests and bad > options.burn * BUDGET * requests
                burned[name] = burned[name] + 1 if burns else 0
                if burned[name] == 2:
                    say(f"burning: {name}: {bad:.0f} of {requests:.0f} are bad, {bad / requests / BUDGET:.1f} times the budget's pace")
                    return BURNING
            if new := sorted(alerts - before):
                say(f"burning: {', '.join(new)} fires since the watch began")
                return BURNING
        if now() - begin >= options.seconds:
            break
        sleep(min(options.interval, max(0.01, options.seconds - (now() - begin))))
    if before is None:
        return NO_VERDICT
    for name, (requests, bad) in seen.items():
        say(f"{name}: {bad:.0f} of {requests:.0f} are bad in {options.seconds:g} s")
    lacking = [name for name in options.objective if seen.get(name, (0, 0))[0] < options.requests]
    if lacking and not options.quiet_is_well:
        say(f"no verdict: fewer than {options.requests} requests: {', '.join(lacking)}")
        return NO_VERDICT
    say("well")
    return WELL


def milliseconds(text):
    found = re.fullmatch(r"(\d+)(ms|s|m)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is no duration such as 60s")
    return int(found[1]) * {"ms": 1, "s": 1000, "m": 60_000}[found[2]]


def options(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--namespace", default="ad-platform")
    parser.add_argument("--pods", metavar="REGEX", help="of these alone, such as a canary's")
    parser.add_argument("--objective", action="append", choices=sorted(OBJECTIVES), help="default: all")
    parser.add_argument("--seconds", type=float, default=600, help="how long to watch (600)")
    parser.add_argument("--interval", type=float, default=15, help="seconds between two looks (15)")
    parser.add_argument("--window", type=milliseconds, default=60_000, help="nothing is judged before: four scrapes (60s)")
    parser.add_argument("--burn", type=float, default=14.4, help="how many times the budget's pace is burning (14.4)")
    parser.add_argument("--requests", type=int, default=100, help="fewer are no verdict (100)")
    parser.add_argument("--quiet-is-well", action="store_true", help="too little traffic is no failure: where nobody trades yet")
    found = parser.parse_args(words)
    if not re.fullmatch(r"[a-z0-9-]+", found.namespace) or (found.pods and re.search(r'["\\]', found.pods)):
        parser.error("a namespace is letters, digits and dashes; a pattern has neither quotes nor backslashes")
    if not found.prometheus.startswith(("http://", "https://")):
        parser.error(f"{found.prometheus} is no address of a Prometheus")
    if found.interval <= 0 or found.seconds * 1000 < found.window:
        parser.error("a watch is at least as long as its window, and looks now and then")
    found.objective = found.objective or sorted(OBJECTIVES)
    return found


if __name__ == "__main__":
    sys.exit(watch(options(sys.argv[1:])))
