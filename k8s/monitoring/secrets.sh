#!/usr/bin/env bash
# Makes the secrets of namespaces monitoring and logs on a laptop, in the cluster that kubectl speaks to. One that exists is kept.
#   k8s/monitoring/secrets.sh            makes what is missing, and the namespaces
#   k8s/monitoring/secrets.sh --print    writes all of them to stdout instead
# Who is told and who keeps logs and traces: PAGER_URL, TICKETS_URL, LOGS_URL, TRACES_URL; without them nobody, at a name that no host has.
set -euo pipefail
cd "$(dirname "$0")"
nobody=http://nobody.invalid

# secret NAMESPACE NAME KEY VALUE...: as a manifest.
secret() {
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  namespace: %s\n  name: %s\ntype: Opaque\nstringData:\n' "$1" "$2"
    shift 2
    while [ $# -gt 0 ]; do
        printf '  %s: "%s"\n' "$1" "$2"
        shift 2
    done
}

# What is in each; a password of letters and digits.
content() {
    case $1/$2 in
        monitoring/alertmanager-receivers) secret "$@" pager-url "${PAGER_URL:-$nobody/pager}" tickets-url "${TICKETS_URL:-$nobody/tickets}" ;;
        monitoring/grafana-secret) secret "$@" admin-password "$(od -An -v -tx1 -N 24 /dev/urandom | tr -d ' \n')" ;;
        monitoring/traces-receiver) secret "$@" url "${TRACES_URL:-$nobody}" ;;
        logs/log-collector-receiver) secret "$@" url "${LOGS_URL:-$nobody}" ;;
    esac
}

wanted="monitoring/alertmanager-receivers monitoring/grafana-secret monitoring/traces-receiver logs/log-collector-receiver"
case ${1:-} in
    --print) for one in $wanted; do content "${one%/*}" "${one#*/}"; done ;;
    '')
        kubectl apply -f deploy/namespace.yaml -f logs/namespace.yaml
        for one in $wanted; do
            if [ -n "$(kubectl --namespace "${one%/*}" get secret "${one#*/}" --ignore-not-found --output name)" ]; then
                echo "kept: $one"
            else
                content "${one%/*}" "${one#*/}" | kubectl apply -f -
            fi
        done
        ;;
    *)
        echo "usage: $0 [--print]" >&2
        exit 64
        ;;
esac
