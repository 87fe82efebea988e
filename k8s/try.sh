#!/usr/bin/env bash
# Applies kustomizations to a real API server, each to an empty one. A warning is a failure: it is how the server speaks of
# pods that break "restricted" and of versions that go away.
#   k8s/try.sh [FOLDER...]     default: every overlay and what watches it, the charts with what they need, stores by operators behind an Ingress
#   k8s/helm/shared/ENVIRONMENT stands for the charts with it; FOLDER+FOLDER for both on one server; base:COMPONENT,... for the base with these
#   NODE=1 k8s/try.sh [CHECK...]   instead: overlay local on a real node (k8s/node/try.sh)
# Kinds whose definitions no Go module carries are taken with any content, and named.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -z "${NODE:-}" ] || exec k8s/node/try.sh "$@"
. tests/tools.sh
. k8s/apiserver/control-plane.sh
[ $# -gt 0 ] || set -- k8s/overlays/{local,staging,production} k8s/helm/shared/{staging,production} \
    base:data-operators,tls,ingress,external-secrets,monitoring,autoscaling-metrics,network-policies,network-policies/operators \
    k8s/overlays/{staging,production}/monitoring k8s/monitoring/logs k8s/monitoring+k8s/monitoring/{traces,operator}
failed=0
dir=
combined=$(mktemp -d "$PWD/k8s/.try.XXXXXX")

end() { [ -z "$dir" ] || stop_control_plane "$dir"; }
trap 'end; rm -rf "$combined"' EXIT

# What is in a folder; with what the charts need, the charts.
render() {
    local chart service part environment=${1##*/}
    case $1 in
        *+*)
            for part in ${1//+/ }; do
                echo ---
                render "$part" || return 1
            done
            return
            ;;
        base:*)
            printf '%s\n' 'apiVersion: kustomize.config.k8s.io/v1beta1' 'kind: Kustomization' 'resources: [../base]' 'components:' \
                >"$combined/kustomization.yaml"
            for part in $(tr , ' ' <<<"${1#base:}"); do echo "  - ../components/$part" >>"$combined/kustomization.yaml"; done
            kubectl kustomize "$combined"
            return
            ;;
    esac
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
