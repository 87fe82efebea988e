#!/usr/bin/env bash
# What k8s/node/try.sh runs as the first process of its namespaces: when this ends, everything here does.
#   k8s/node/inside.sh [CHECK...]
set -euo pipefail
. tests/tools.sh
. k8s/apiserver/control-plane.sh
. docker/try/checks.sh
. k8s/node/node.sh
. k8s/node/checks.sh
EVERY_CHECK=(policies_are_there trades answers_by_port_forward missing_secret_is_named empty_secret_is_named wrong_host_is_named
    failed_migration_is_named broken_rollout_stops killed_pod_is_replaced killed_stores_come_back restart_loses_nothing
    database_is_restored runbooks_work)
trap 'exit 130' INT TERM
[ $# -gt 0 ] || set -- "${EVERY_CHECK[@]}"

# What is not well, for whoever reads the output of a run that failed.
explain() {
    kubectl --namespace ad-platform get pods,jobs,pvc --output wide || true
    kubectl --namespace ad-platform get events --sort-by .lastTimestamp | grep -v Normal | tail -20 || true
    tail -n 3 "$NODE_DIR"/log/*.log
}

# All of the overlay at once, in no order, as `apply -k` gives it.
deploy() {
    k8s/overlays/local/secrets.sh >/dev/null &&
        kubectl apply --warnings-as-errors -k k8s/node/overlay >"$NODE_DIR/log/apply.log" &&
        kubectl wait --for condition=Complete --timeout 300s job --all >/dev/null &&
        rolled_out deployment/campaign-service deployment/bidding-service deployment/analytics-service \
            statefulset/postgres statefulset/postgres-archive statefulset/redis-cluster statefulset/kafka
}

rolled_out() {
    local what
    for what in "$@"; do
        kubectl rollout status --timeout 180s "$what" >/dev/null || return 1
    done
}

begin=$SECONDS
holds "the node turns ready" start_node
[ "$CHECKS_FAILED" -eq 0 ] || { tail -n 3 "$NODE_DIR"/log/*.log; exit 1; }
echo "   after $((SECONDS - begin)) s, of them for the import of images $(cat "$NODE_DIR/import.seconds")"
kubectl config set-context try --namespace ad-platform >/dev/null
begin=$SECONDS
holds "overlay local turns ready" deploy
echo "   after $((SECONDS - begin)) s"
[ "$CHECKS_FAILED" -eq 0 ] || { explain; exit 1; }
for check in "$@"; do
    "$check"
done
[ "$CHECKS_FAILED" -eq 0 ] || explain
finish_checks
