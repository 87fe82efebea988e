#!/usr/bin/env python3
"""Grafana dashboards from one table of panels. `dashboards.py` writes them, `dashboards.py --check` fails if they are not current."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SELF = 'namespace=~"$namespace"'


def rate(metric, by, more="", window="5m"):
    return f"sum by ({by}) (rate({metric}{{{SELF}{more}}}[{window}]))"


def quantile(q, metric, more="", by="le"):
    return f"histogram_quantile({q}, sum by ({by}) (rate({metric}_bucket{{{SELF}{more}}}[5m])))"


def burn(slo, window):
    return f'namespace:{slo}_errors:ratio_{window}{{{SELF}}} / 0.001'


LEASES = (f"sum by (pod) (lease_balance_nanos{{{SELF}}}) / 1e9", "{{pod}}")
# Dashboard: panels of title, unit, queries with their legends; of shares near 1 where the axis begins while nothing is below it.
DASHBOARDS = {
    "bidding": ("Bidding", [
        ("Requests by outcome", "reqps", [(f'sum by (outcome) (namespace_outcome:bid_requests:rate5m{{{SELF}}})', "{{outcome}}")]),
        ("Requests by exchange", "reqps", [(f'sum by (exchange) (namespace_outcome:bid_requests:rate5m{{{SELF}}})', "{{exchange}}")]),
        ("From arrival to answer", "s", [(quantile(q, "bid_request_duration_seconds"), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)]),
        ("Mean time by stage", "s", [(f"namespace_stage:bid_stage_duration_seconds:mean_5m{{{SELF}}}", "{{stage}}")]),
        *((f"p{int(q * 100)} by stage", "s", [(quantile(q, "bid_stage_duration_seconds", by="stage, le"), "{{stage}}")]) for q in (0.5, 0.99)),
        ("Why nobody bids", "reqps", [(f'topk(8, {rate("bid_no_bid_reasons_total", "reason")})', "{{reason}}")]),
        ("Deadline misses, of requests", "percentunit", [
            (f'sum (namespace_outcome:bid_requests:rate5m{{{SELF},outcome="{outcome}"}}) / sum (namespace:bid_requests:rate5m{{{SELF}}})', legend)
            for outcome, legend in (("late", "late"), ("shed", "refused"))]),
        ("Late, refused, panicked", "percentunit", [(f"namespace:bid_errors:ratio_5m{{{SELF}}}", "of requests")]),
        ("Bids and wins", "reqps", [(rate("bids_total", "namespace"), "bids"), (rate("wins_total", "namespace"), "wins")]),
        ("Requests a second and pod", "reqps", [(rate("bid_requests_total", "pod"), "{{pod}}")]),
        ("Campaigns in the index", "short", [(f"index_campaigns{{{SELF}}}", "{{pod}}")]),
        ("Age of the index", "s", [(f"index_age_seconds{{{SELF}}}", "{{pod}}")]),
        ("Leases: may still be reserved", "short", [LEASES]),
    ]),
    "money": ("Money", [
        ("Billed a second", "short", [(f'{rate("billed_nanos_total", "currency")} / 1e9', "{{currency}}")]),
        ("Spend of evenly paced days against their plan", "short", [
            (f"max by (namespace) (planned_nanos{{{SELF}}}) / 1e9", "planned by now"),
            (f"max by (namespace) (planned_spent_nanos{{{SELF}}}) / 1e9", "spent")]),
        ("Beyond budgets, of what is billed", "percentunit", [
            (f'{rate("over_delivery_nanos_total", "currency", window="1h")} / {rate("billed_nanos_total", "currency", window="1h")}', "{{currency}}")]),
        ("May still be reserved", "short", [LEASES]),
        ("Won and not yet billed", "short", [(f"sum by (pod) (pending_nanos{{{SELF}}}) / 1e9", "{{pod}}")]),
        ("Notices", "reqps", [(rate("notices_total", "kind, result"), "{{kind}} {{result}}")]),
        ("Ledger groups that do not answer", "short", [(f"ledger_refusing{{{SELF}}}", "{{pod}}")]),
        ("Notices in spools", "short", [(f"spool_records{{{SELF}}}", "{{pod}}")]),
        ("Oldest notice in a spool", "s", [(f"spool_oldest_age_seconds{{{SELF}}}", "{{pod}}")]),
    ]),
    "campaign-api": ("Campaign API", [
        ("Requests by route", "reqps", [(rate("http_requests_total", "method, route", ',service="campaign-service"'), "{{method}} {{route}}")]),
        ("Answers by status", "reqps", [(rate("http_requests_total", "status", ',service="campaign-service"'), "{{status}}")]),
        ("Time to answer", "s", [(quantile(q, "http_request_duration_seconds", ',service="campaign-service"'), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)]),
        ("In flight", "short", [(f'sum by (pod) (http_requests_in_flight{{{SELF},service="campaign-service"}})', "{{pod}}")]),
        ("Changes not yet published", "short", [(f"outbox_pending{{{SELF}}}", "{{pod}}")]),
        ("Oldest of them", "s", [(f"outbox_lag_seconds{{{SELF}}}", "{{pod}}")]),
    ]),
    "stores": ("Stores and pipeline", [
        ("Stores that answer", "short", [(f"min by (service, backend) (backend_up{{{SELF}}})", "{{service}} {{backend}}")]),
        ("Which store serves what, in replicas", "short", [(f"count by (port, backend) (backend_info{{{SELF}}})", "{{port}}: {{backend}}")]),
        ("Ready replicas", "short", [(f"sum by (service) (ready{{{SELF}}})", "{{service}}")]),
        ("Reports behind", "s", [(f"max by (namespace) (report_freshness_seconds{{{SELF}}})", "behind")]),
        ("Records that wait", "short", [(f"sum by (topic) (consumer_lag_records{{{SELF}}})", "{{topic}}")]),
        ("Partitions that somebody reads", "short", [(f"sum by (topic) (consumer_partitions{{{SELF}}})", "{{topic}}")]),
        ("Events applied", "reqps", [(rate("events_applied_total", "topic"), "{{topic}}")]),
        ("Events left out, since they had been added before", "reqps", [(rate("events_repeated_total", "topic"), "{{topic}}")]),
        ("Events dropped or set aside", "reqps", [(rate("events_dropped_total", "topic"), "dropped {{topic}}"), (rate("events_set_aside_total", "topic"), "set aside {{topic}}")]),
        ("Ledger: what it is rebuilt from, and rebuilds", "reqps", [
            (rate("ledger_checkpoints_published_total", "namespace"), "campaigns published"),
            (rate("ledger_rebuilds_total", "namespace"), "groups rebuilt"),
            (rate("ledger_rebuild_skipped_records_total", "topic"), "left out {{topic}}")]),
        ("Spools: bytes", "bytes", [(f"spool_bytes{{{SELF}}}", "{{pod}}")]),
        ("Spools: notices", "reqps", [(rate("spool_replayed_total", "namespace"), "replayed"), (rate("spool_refused_total", "namespace"), "refused"),
                                      (rate("spool_set_aside_total", "namespace"), "set aside")]),
        ("Open files, of those allowed", "percentunit", [(f"process_open_fds{{{SELF}}} / process_max_fds{{{SELF}}}", "{{pod}}")]),
        ("Traces", "reqps", [(rate("trace_spans_exported_total", "service"), "sent {{service}}"), (rate("trace_spans_dropped_total", "reason"), "lost {{reason}}")]),
        ("CPU by pod", "short", [(f"rate(process_cpu_seconds_total{{{SELF}}}[5m])", "{{pod}}")]),
        ("Memory by pod", "bytes", [(f"process_resident_memory_bytes{{{SELF}}}", "{{pod}}")]),
    ]),
    "objectives": ("Objectives", [
        (title, "short", [(burn(slo, window), window) for window in ("1h", "6h", "1d", "3d")])
        for slo, title in (("bid", "Bids inside their budget: times the budget is burnt"), ("api", "API without 5xx: times the budget is burnt"))
    ] + [
        (title, "percentunit", [(f"1 - namespace:{slo}_errors:ratio_3d{{{SELF}}}", "of three days"), ("vector(0.999)", "objective")], 0.99)
        for slo, title in (("bid", "Bid requests answered inside their budget"), ("api", "API calls without a 5xx"))
    ]),
}


def panel(at, title, unit, queries, from_share=None):
    return {
        "id": at + 1, "type": "timeseries", "title": title,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": {"h": 8, "w": 12, "x": at % 2 * 12, "y": at // 2 * 8},
        "fieldConfig": {"defaults": {"unit": unit} | axis(from_share), "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [{"refId": chr(65 + n), "expr": expr, "legendFormat": legend} for n, (expr, legend) in enumerate(queries)],
    }


def axis(from_share):
    return {"min": 0} if from_share is None else {"max": 1, "custom": {"axisSoftMin": from_share}}


def dashboard(uid, title, panels):
    return {
        "uid": f"adplatform-{uid}", "title": f"adplatform: {title}", "tags": ["adplatform"], "schemaVersion": 39, "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{
            "name": "namespace", "type": "query", "label": "Namespace", "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
            "datasource": {"type": "prometheus", "uid": "prometheus"}, "query": "label_values(build_info, namespace)", "refresh": 2,
        }]},
        "panels": [panel(at, *of) for at, of in enumerate(panels)],
    }


def main():
    stale = []
    for uid, (title, panels) in DASHBOARDS.items():
        path = f"{HERE}/dashboards/{uid}.json"
        text = json.dumps(dashboard(uid, title, panels), indent=1) + "\n"
        if "--check" in sys.argv:
            if not os.path.exists(path) or open(path).read() != text:
                stale.append(path)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, "w").write(text)
    if stale:
        sys.exit(f"not current, run dashboards.py: {stale}")


if __name__ == "__main__":
    main()
