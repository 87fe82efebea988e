"""Runs every command of k8s/monitoring/runbooks.md, in their order, on the cluster that kubectl speaks to. None may fail, and some must say
what they are for. runbooks_work in k8s/node/checks.sh has brought about what they are asked of."""

import json
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WHOLE = re.compile(r"(kubectl|curl|k8s/\S+\.sh|pipeline/\S+\.sh) ")
# Of a command that was shortened for the eye nobody knows whether it works.
SHORTENED = re.compile(r"(describe|logs|rollout|exec|delete|scale|patch|adplatform|redis-cli|patronictl) ")
CHANGES = re.compile(r" (delete|undo|scale|patch|apply|debug|cordon) ")
NOT_RUN = {"pipeline/rollback.sh": "it goes back to a release of Helm, which overlay local has none of; pipeline/try.sh runs it"}
# Pods of sections that are about one that is not well; else P is a bidder.
PODS = {"ServiceDown": "try-empty-secret", "PodCrashLooping": "try-empty-secret", "NotReady": "try-unmigrated", "ReportsBehind": "analytics-service"}
SAYS = {
    "logs P --previous": "NOTICE_SECRET", "logs P | tail": "waits_for", '"reason"': "unreadable", "patronictl": "Leader",
    "cluster info": "cluster_state:ok", "curl": r"HTTP/1.1 40[03]", "tool.sh reconcile": "with differences", "logs P -c copy": "for a try",
    "logs -l app=migrations": "already exists", "grep relay": "relay", "app=traces": "traces-", "app=kafka": "kafka-0 .* Running",
    "app=postgres": "postgres-0 .* Running", "describe certificate": "Dns Names",
}


def kubectl(*words):
    return subprocess.run(["kubectl", "--namespace", "ad-platform", *words], capture_output=True, text=True, check=True).stdout


def pod_of(name):
    """The newest pod of a service that is ready, or the pod of that name."""
    pods = json.loads(kubectl("get", "pods", "--selector", f"app={name}", "--sort-by", ".metadata.creationTimestamp", "--output", "json"))["items"]
    ready = [p["metadata"]["name"] for p in pods if "deletionTimestamp" not in p["metadata"] and {"type": "Ready", "status": "True"}.items() <=
             next(c for c in p["status"]["conditions"] if c["type"] == "Ready").items()]
    return ready[-1] if ready else name


def filled_in(command, section):
    values = {
        "P": pod_of(PODS.get(section, "bidding-service")), "SERVICE": "bidding-service", "N": "3", "NAME": "try", "NODE": "node",
        "https://BIDDING_HOST": "http://bidding-service.ad-platform.svc.cluster.local", "k8s/overlays/ENVIRONMENT": "k8s/node/overlay",
        "debian:12.12-slim": "docker.io/local/servers:try",
    }
    for word, value in values.items():
        command = re.sub(rf"(?<![\w.-]){re.escape(word)}(?![\w.])", value, command)
    return command


def settle(command):
    """What a command began has ended, and the next one finds all as before."""
    if " cordon " in command:
        kubectl("uncordon", "node")
    if " apply " in command:
        kubectl("wait", "--for", "condition=Complete", "--timeout", "120s", "job/migrations-0-1-0", "job/redis-cluster-init-7-4-2")
    if CHANGES.search(command):
        for service in ("campaign-service", "bidding-service", "analytics-service"):
            kubectl("rollout", "status", "--timeout", "120s", f"deployment/{service}")


def spools_have_something():
    """As a bidder sets it aside: what a command of this section copies."""
    for spool in pathlib.Path("/var/lib/kubelet/pods").glob("*/volumes/kubernetes.io~empty-dir/spool"):
        (spool / "set_aside.ndjson").write_text('{"reason": "for a try"}\n', encoding="utf-8")


def run(command, section):
    """(whether it worked, what it said). What only looks is asked again: a log may be a moment late, a ledger be rebuilt."""
    wanted = next((words for what, words in SAYS.items() if what in command), ".")
    end = time.monotonic() + (0 if CHANGES.search(command) else 90)
    while True:
        done = subprocess.run(["bash", "-o", "pipefail", "-c", filled_in(command, section)], cwd=ROOT, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        if done.returncode == 0 and re.search(wanted, said):
            return True, said
        if time.monotonic() > end:
            return False, f"exit code {done.returncode}, without {wanted}: {said.strip()[-600:]}"
        time.sleep(3)


def main():
    failed = 0
    for part in re.split(r"(?m)^## ", (ROOT / "k8s/monitoring/runbooks.md").read_text(encoding="utf-8"))[1:]:
        section = part.split("\n", 1)[0]
        if section == "SpoolSetAside":
            spools_have_something()
        for command in (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", part)):
            reason = next((why for what, why in NOT_RUN.items() if what in command), None)
            if SHORTENED.match(command):
                print(f"   FAILED {section}: {command}: is no whole command")
                failed += 1
            if not WHOLE.match(command):
                continue
            if reason:
                print(f"   not run {section}: {command}: {reason}")
                continue
            well, said = run(command, section)
            print(f"   {'ok' if well else 'FAILED'} {section}: {command}" + ("" if well else f"\n      {said}"), flush=True)
            failed += not well
            settle(command)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
