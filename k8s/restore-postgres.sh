#!/usr/bin/env bash
# Restores the database of data-plain to an instant, from its archive, in the cluster that kubectl speaks to. Everything after the instant
# is gone from it: k8s/restore.md says what comes before and after.
#
#   k8s/restore-postgres.sh 'YYYY-MM-DD HH:MM:SS+00'     or `latest`: all that the archive has
#
# Stops the database and the receiver, restores onto the volume of postgres-0, empties those of the others, starts all again.
# NAMESPACE   ad-platform
# SECONDS_TO_RESTORE   how long it may take; 3600
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
case ${1:-} in
    --help | -h) help && exit ;;
    latest) ;;
    [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]\ [0-9][0-9]:[0-9][0-9]:[0-9][0-9]*[+-][0-9][0-9]) ;;
    *) wrong "an instant with its offset is needed, such as '2026-11-24 14:03:00+00', or latest" ;;
esac
target=$1
need kubectl python3
kube() { kubectl --namespace "${NAMESPACE:-ad-platform}" "$@"; }
patience=${SECONDS_TO_RESTORE:-3600}
replicas=$(kube get statefulset postgres --output 'jsonpath={.spec.replicas}')
[ "$replicas" -gt 0 ] || replicas=3

kube scale statefulset/postgres statefulset/postgres-archive --replicas 0 >/dev/null
kube wait --for delete pod --selector 'app in (postgres, postgres-archive)' --timeout 180s >/dev/null
kube delete configmap adplatform-config adplatform-leader adplatform-sync adplatform-failover --ignore-not-found >/dev/null
kube delete job postgres-restore --ignore-not-found >/dev/null
# The receiver's own pod, with the volume of postgres-0 beside it and another command.
kube get statefulset postgres-archive --output json | python3 -c '
import json, sys
archive = json.load(sys.stdin)
spec = archive["spec"]["template"]["spec"]
container = next(c for c in spec["containers"] if c["name"] == "base")
container["name"] = "restore"
container["command"] = ["sh", "/etc/postgres/restore.sh", sys.argv[1]]
container["env"] = [{"name": "ARCHIVE", "value": "/var/lib/postgresql/archive"},
                    {"name": "PGDATA", "value": "/var/lib/postgresql/database/data"}]
container["resources"] = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}
container["volumeMounts"] += [{"name": "database", "mountPath": "/var/lib/postgresql/database"}]
container.pop("readinessProbe")
spec["containers"] = [container]
# The database is stopped: nothing to be near to but the volumes.
spec.pop("affinity", None)
spec["volumes"] += [{"name": "archive", "persistentVolumeClaim": {"claimName": "archive-postgres-archive-0"}},
                    {"name": "database", "persistentVolumeClaim": {"claimName": "data-postgres-0"}}]
spec["restartPolicy"] = "Never"
labels = {"app": "postgres-restore", "app.kubernetes.io/name": "postgres-restore", "app.kubernetes.io/component": "job"}
print(json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "postgres-restore", "labels": labels}, "spec": {
    "backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": spec}}}))' "$target" | kube apply -f - >/dev/null

deadline=$((SECONDS + patience))
while :; do
    state=$(kube get job postgres-restore --output 'jsonpath={.status.conditions[?(@.status=="True")].type}')
    case $state in *Failed* | *Complete*) break ;; esac
    [ "$SECONDS" -lt "$deadline" ] || failed "postgres-restore does not end: kubectl logs job/postgres-restore"
    sleep 1
done
kube logs job/postgres-restore --tail 10
case $state in *Failed*) failed "nothing is restored; the database is stopped, its archive whole" ;; esac
# The others copy what was restored.
for number in $(seq 1 $((replicas - 1))); do
    kube delete pvc "data-postgres-$number" --ignore-not-found >/dev/null
done
kube scale statefulset/postgres --replicas "$replicas" >/dev/null
kube rollout status statefulset/postgres --timeout "${patience}s" >/dev/null
kube scale statefulset/postgres-archive --replicas 1 >/dev/null
say "restored to $target"
