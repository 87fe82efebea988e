#!/usr/bin/env bash
# Runs a command of `adplatform` in the cluster that kubectl speaks to, on the stores and with the settings of analytics-service, says what
# it says, and ends as it ends. Its Job stays until the next one, for its log.
#
#   k8s/tool.sh COMMAND [ARGUMENT...]      such as reconcile, or restored --keep /dev/stdout
#
# NAMESPACE           ad-platform
# IMAGE               of adplatform; default: the one beside that of analytics-service, with its tag
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
kube get deployment analytics-service --output json | python3 -c '
import json, re, sys
image, *words = sys.argv[1:]
spec = json.load(sys.stdin)["spec"]["template"]["spec"]
container = spec["containers"][0]
if not image:
    if "@" in container["image"]:
        sys.exit("the services run by digest: IMAGE must say which adplatform is meant")
    image = container["image"].replace("/analytics-service:", "/adplatform:")
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
    "backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": spec}}}))' "${IMAGE:-}" "$@" | kube apply -f - >/dev/null

deadline=$((SECONDS + ${SECONDS_TO_RUN:-3600}))
while :; do
    state=$(kube get job adplatform-tool --output 'jsonpath={.status.conditions[?(@.status=="True")].type}')
    case $state in *Failed* | *Complete*) break ;; esac
    [ "$SECONDS" -lt "$deadline" ] || failed "adplatform $1 does not end: kubectl logs job/adplatform-tool"
    sleep 1
done
kube logs job/adplatform-tool --tail -1
case $state in *Failed*) failed "adplatform $*" ;; esac
