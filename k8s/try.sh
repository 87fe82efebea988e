#!/usr/bin/env bash
# Applies kustomizations to a real API server, each to an empty one. A warning is a failure: it is how the server speaks of
# pods that break "restricted" and of versions that go away.
#   k8s/try.sh [FOLDER...]     default: every overlay, the charts with what they need, monitoring
#   k8s/helm/shared/ENVIRONMENT stands for the charts with it
#   NODE=1 k8s/try.sh [CHECK...]   instead: overlay local on a real node (k8s/node/try.sh)
# Kinds whose definitions no Go module carries are taken with any content, and named.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -z "${NODE:-}" ] || exec k8s/node/try.sh "$@"
. tests/tools.sh
. k8s/apiserver/control-plane.sh
[ $# -gt 0 ] || set -- k8s/overlays/{local,staging,production} k8s/helm/shared/{staging,production} k8s/monitoring
failed=0
dir=

end() { [ -z "$dir" ] || stop_control_plane "$dir"; }
trap end EXIT

# What is in a folder; with what the charts need, the charts.
render() {
    local chart service environment=${1##*/}
    kubectl kustomize "$1"
    case $1 in k8s/helm/shared/*) ;; *) return ;; esac
    for chart in k8s/helm/*-service; do
        service=${chart##*/}
        echo ---
        helm template "$service" "$chart" --namespace ad-platform --kube-version "${KUBERNETES_VERSION#v}" --no-hooks --values "k8s/helm/values-$environment.yaml" \
            --values "$chart/values-$environment.yaml" 2>/dev/null || return 1
    done
}

# A fresh server, and what it has to say about one folder.
try() {
    local rendered answer
    end
    dir=$(mktemp -d)
    start_control_plane "$dir"
    apply_definitions
    python3 k8s/checks/stand_in_definitions.py | kubectl apply -f - >/dev/null
    kubectl wait --for condition=Established --timeout 60s crd --all >/dev/null
    rendered=$(render "$1")
    if answer=$(kubectl apply --warnings-as-errors -f - <<<"$rendered" 2>&1); then
        echo "ok: $1 ($(grep -c ' created$' <<<"$answer") objects)"
    else
        failed=1
        echo "FAILED: $1"
        grep -v ' created$' <<<"$answer" || true
    fi
}

need_program openssl openssl
go_tool helm helm.sh/helm/v3/cmd/helm@v3.22.0
python_tools yaml PyYAML==6.0.2
build_kubernetes etcd kube-apiserver kubectl
for folder in "$@"; do
    try "$folder"
done
exit "$failed"
