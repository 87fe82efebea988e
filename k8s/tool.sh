#!/usr/bin/env bash
# Runs a command of `adplatform` in the cluster that kubectl speaks to, on the stores and with the settings of analytics-service, says what
# it says, and ends as it ends. Its Job stays until the next one, for its log.
#
#   k8s/tool.sh COMMAND [ARGUMENT...]      such as reconcile, or restored --keep /dev/stdout
#
# NAMESPACE           ad-platform
# IMAGE               of adplatform; default: that of the newest migrations that ran well; where their Jobs are gone (a day later), the one
#                     beside that of analytics-service, with its release's tag
# SECONDS_TO_RUN      how long it may take; 3600
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
case ${1:-} in
    --help | -h) help && exit ;;
    '' | -*) wrong "a command of adplatform is needed" ;;
esac
need kubectl python3
kube() { kubectl --namespace "${NAMESPACE:-ad-platform}" "$@"; }

kube delete job adplatform-tool --ignore-not-found >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kube get deployment analytics-service --output json >"$work/deployment"
kube get jobs --selector app.kubernetes.io/name=migrations --output json >"$work/migrations"
python3 -c '
import json, sys
folder, image, *words = sys.argv[1:]
deployment = json.load(open(folder + "/deployment"))
ran = [job for job in json.load(open(folder + "/migrations"))["items"] if job.get("status", {}).get("succeeded")]
template = deployment["spec"]["template"]
spec = template["spec"]
container = spec["containers"][0]
if not image and ran:
    newest = max(ran, key=lambda job: job["metadata"]["creationTimestamp"])
    image = newest["spec"]["template"]["spec"]["containers"][0]["image"]
elif not image:
    repository, name = container["image"].rsplit("/", 1)
    tag = template["metadata"]["labels"]["app.kubernetes.io/version"] if "@" in name else name.rsplit(":", 1)[1]
    image = f"{repository}/adplatform:{tag}"
print(f"with {image}", file=sys.stderr)
container |= {"name": "tool", "image": image, "args": words}
for name in ("ports", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle"):
    container.pop(name, None)
container["env"] = [one for one in container["env"] if one["name"] != "CONFIG_FILE"]
spec["serviceAccountName"] = spec["serviceAccount"] = "migrations"
spec["restartPolicy"] = "Never"
spec.pop("topologySpreadConstraints", None)
# Policies let what is called so reach the stores.
labels = {"app": "migrations", "app.kubernetes.io/name": "adplatform-tool", "app.kubernetes.io/component": "job"}
print(json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "adplatform-tool", "labels": labels}, "spec": {
    "backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": spec}}}))' "$work" "${IMAGE:-}" "$@" | kube apply -f - >/dev/null

deadline=$((SECONDS + ${SECONDS_TO_RUN:-3600}))
while :; do
    state=$(kube get job adplatform-tool --output 'jsonpath={.status.conditions[?(@.status=="True")].type}')
    case $state in *Failed* | *Complete*) break ;; esac
    [ "$SECONDS" -lt "$deadline" ] || failed "adplatform $1 does not end: kubectl logs job/adplatform-tool"
    sleep 1
done
kube logs job/adplatform-tool --tail -1
case $state in *Failed*) failed "adplatform $*" ;; esac
