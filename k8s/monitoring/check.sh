#!/usr/bin/env bash
# Rules, alerts, routes and dashboards: that they parse, that every name in them exists, that every alert fires when it should
# and keeps quiet when it should not.
#   k8s/monitoring/check.sh [PROGRAMS]   with the folder of the built services: on a real Prometheus and Alertmanager too
set -euo pipefail
SECONDS=0
cd "$(dirname "$0")/../.."
. tests/tools.sh
need_program promtool prometheus
need_program amtool prometheus-alertmanager
python_tools yaml PyYAML==6.0.2
here=k8s/monitoring
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 "$here/names.py"
python3 "$here/dashboards.py" --check
python3 "$here/operator_rules.py" --check
promtool check rules "$here"/rules/*.yaml >"$work/rules" || { cat "$work/rules"; exit 1; }
# Debian's Prometheus is built without Kubernetes: discovery by file stands for it.
sed -e 's/kubernetes_sd_configs:/file_sd_configs:/' -e 's/- role: pod/- files: [targets.json]/' \
    -e '/namespaces:/d' -e '/names: \[ad-platform\]/d' -e 's|/etc/monitoring/rules|'"$PWD/$here"'/rules|' \
    "$here/prometheus.yaml" >"$work/prometheus.yml"
promtool check config "$work/prometheus.yml" >"$work/config" || { cat "$work/config"; exit 1; }
# Debian's Alertmanager is older than url_file.
sed 's|url_file: /etc/alertmanager-receivers/\(.*\)|url: http://\1/|' "$here/alertmanager.yaml" >"$work/alertmanager.yml"
amtool check-config "$work/alertmanager.yml" >"$work/routes" || { cat "$work/routes"; exit 1; }
for case in "critical pager" "warning tickets"; do
    read -r severity receiver <<<"$case"
    amtool config routes test --config.file="$work/alertmanager.yml" --verify.receivers="$receiver" \
        severity="$severity" alertname=Any >"$work/route" 2>&1 || { cat "$work/route"; exit 1; }
done
python3 "$here/rule_tests.py" "$work"
for part in short long; do
    promtool test rules "$work/$part.json" >"$work/$part" 2>&1 || { cat "$work/$part"; exit 1; }
done
[ $# -eq 0 ] || python3 "$here/live.py" "$1"
echo "monitoring: all is well, after $SECONDS s"
