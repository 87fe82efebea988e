#!/usr/bin/env python3
"""Draws every panel from its own queries, on a real Prometheus over the running services: Debian has no Grafana.

pictures.py PROGRAMS FOLDER [SECONDS [COLLECTOR]]: a picture a dashboard goes to FOLDER, after so many seconds of traffic (90), in
the middle of which bids are late, reports are away, and so is the collector of traces, where one is given (collectors.sh builds
it). By hand, for eyes; needs matplotlib.
"""
import math
import sys
import tempfile
import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from node import Node  # noqa: E402
from stage import FASTER, Stage, panels  # noqa: E402
from traffic import Traffic, campaign  # noqa: E402

SCALES = {"s": "seconds", "reqps": "a second", "percentunit": "share", "bytes": "bytes", "short": ""}


def legend(target, metric):
    text = target["legendFormat"]
    for label, value in metric.items():
        text = text.replace("{{%s}}" % label, value)
    return text


def draw(stage, panel, exprs, axes, began, ended):
    for target, expr in zip(panel["targets"], exprs):
        for series in stage.query(expr, start=began, end=ended, step=0.5) or []:
            at = [moment - began for moment, _ in series["values"]]
            values = [float(value) for _, value in series["values"]]
            axes.plot(at, values, label=legend(target, series["metric"]), linewidth=1)
    axes.set_title(panel["title"], fontsize=9)
    axes.set_ylabel(SCALES[panel["fieldConfig"]["defaults"]["unit"]], fontsize=7)
    axes.set_xlim(0, ended - began)
    axes.set_ylim(bottom=panel["fieldConfig"]["defaults"]["min"])
    axes.tick_params(labelsize=6)
    if axes.lines:
        axes.legend(fontsize=6, loc="upper left")
    else:
        axes.text(0.5, 0.5, "No data", ha="center", transform=axes.transAxes)


def draw_all(stage, folder, began, ended):
    boards = {}
    for board, panel, exprs in panels():
        boards.setdefault(board["uid"], (board["title"], []))[1].append((panel, exprs))
    for uid, (title, of) in boards.items():
        rows = math.ceil(len(of) / 2)
        figure, grid = plt.subplots(rows, 2, figsize=(12, 2.6 * rows), squeeze=False)
        for axes in list(grid.flat)[len(of):]:
            axes.axis("off")
        for (panel, exprs), axes in zip(of, grid.flat):
            draw(stage, panel, exprs, axes, began, ended)
        figure.suptitle(f"{title} ({FASTER} times faster)", fontsize=10)
        figure.tight_layout()
        figure.savefig(f"{folder}/{uid}.png", dpi=80)
        print(f"{folder}/{uid}.png")


def main():
    programs, folder, seconds, collector = [*sys.argv[1:], *["90", ""][len(sys.argv) - 3:]]
    seconds = int(seconds)
    with tempfile.TemporaryDirectory() as work:
        stage = Node(programs, collector, work, BID_TRACE_RATIO="0.1") if collector else Stage(programs, work)
        traffic = Traffic(stage)
        try:
            if collector:
                stage.keep()
                stage.collect("traces")
            stage.start_services()
            stage.start_prometheus()
            began = time.time()
            campaign(stage)
            traffic.begin()
            time.sleep(seconds / 3)
            traffic.slow.set()
            stage.kill("analytics-1")
            if collector:
                stage.kill("traces-collector")
            time.sleep(seconds / 3)
            traffic.slow.clear()
            if collector:
                stage.collect("traces")
            stage.service("analytics-1")
            time.sleep(seconds / 3)
            draw_all(stage, folder, began, time.time())
        finally:
            traffic.ended.set()
            stage.stop()


if __name__ == "__main__":
    main()
