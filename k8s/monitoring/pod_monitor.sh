#!/usr/bin/env bash
# The PodMonitor of operator/, as the operator's own code reads it, on a real Prometheus over the running services. By hand:
# building that code takes minutes, once.
#   k8s/monitoring/pod_monitor.sh PROGRAMS    with the folder of the built services
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/tools.sh
here=k8s/monitoring
[ $# -eq 1 ] || { echo "usage: $0 PROGRAMS" >&2; exit 64; }
need_program prometheus prometheus
sum=$(cat "$here/operator/generator/"* | sha256sum)
generator="$TOOLS/prometheus-operator-${sum:0:8}/generator"
if [ ! -x "$generator" ]; then
    need_program go golang-go
    echo "building the operator's code (minutes, once)"
    (cd "$here/operator/generator" && go build -ldflags "-s -w" -o "$generator" .)
fi
python_tools yaml PyYAML==6.0.2
python3 "$here/pod_monitor.py" "$1" "$generator"
