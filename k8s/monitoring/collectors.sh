#!/usr/bin/env bash
# The collectors of logs and of traces, as programs, over the running services. By hand: building the collector takes minutes,
# once; the run half a minute.
#   k8s/monitoring/collectors.sh PROGRAMS    with the folder of the built services
#   k8s/monitoring/collectors.sh --build     builds the collector, and says where it is
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/tools.sh
here=k8s/monitoring
[ $# -eq 1 ] || { echo "usage: $0 PROGRAMS | --build" >&2; exit 64; }

# Of the version that the images have.
version=$(sed -n 's|.*/receiver/filelogreceiver \(v[0-9.]*\)$|\1|p' "$here/collector/go.mod")
for part in logs traces; do
    grep -q "otel/opentelemetry-collector-contrib:${version#v}\$" "$here/$part/collector.yaml" || {
        echo "$part/collector.yaml has another collector than $version of collector/go.mod"
        exit 1
    }
done
sum=$(cat "$here/collector/"* | sha256sum)
collector="$TOOLS/collector-$version-${sum:0:8}/collector"
if [ ! -x "$collector" ]; then
    need_program go golang-go
    echo "building the collector (minutes, once)"
    (cd "$here/collector" && go build -ldflags "-s -w" -o "$collector" .)
fi
if [ "$1" = --build ]; then
    echo "$collector"
    exit
fi
python_tools yaml PyYAML==6.0.2
python3 "$here/collectors.py" "$1" "$collector"
