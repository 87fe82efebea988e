#!/usr/bin/env bash
# The autoscalers' metrics from end to end: Prometheus with recorded series, prometheus-adapter with the configuration, account and
# roles that are deployed, a real API server that asks it in the name of Kubernetes' own autoscaler, and that autoscaler itself. By hand: the adapter and
# Kubernetes are built once, minutes.
#   k8s/components/autoscaling-metrics/try.sh
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/tools.sh
. k8s/apiserver/control-plane.sh
here=k8s/components/autoscaling-metrics
need_program openssl openssl
need_program prometheus prometheus
python_tools yaml PyYAML==6.0.2
build_kubernetes etcd kube-apiserver kubectl kube-controller-manager
programs="$TOOLS/prometheus-adapter-v0.12.0"
if [ ! -x "$programs/adapter" ]; then
    need_program go golang-go
    echo "building prometheus-adapter (minutes, once)"
    (cd "$here/build" && GOBIN="$programs" go install -ldflags "-s -w" sigs.k8s.io/prometheus-adapter/cmd/adapter)
fi
PATH="$programs:$PATH"

dir=$(mktemp -d)
overlay=$(mktemp -d "$PWD/k8s/.try.XXXXXX")
trap 'stop_control_plane "$dir"; rm -rf "$overlay"' EXIT
start_control_plane "$dir"
printf '%s\n' 'apiVersion: kustomize.config.k8s.io/v1beta1' 'kind: Kustomization' 'resources: [../base]' \
    'components: [../components/autoscaling-metrics]' >"$overlay/kustomization.yaml"
kubectl kustomize "$overlay" >"$dir/rendered.yaml"
# shellcheck disable=SC2046 # two ports
python3 "$here/try.py" "$dir" $(free_ports 2)
