#!/usr/bin/env bash
# Makes the secrets of overlay local in the cluster that kubectl speaks to, with random values. One that exists is kept: the
# stores were made with it.
#   k8s/overlays/local/secrets.sh            makes what is missing
#   k8s/overlays/local/secrets.sh --print    writes all of them to stdout instead
set -euo pipefail
cd "$(dirname "$0")"
namespace=ad-platform

# Letters and digits alone, so that a password stands in a URL as it is.
random() { od -An -v -tx1 -N "${1:-24}" /dev/urandom | tr -d ' \n'; }

# secret NAME KEY VALUE...: as a manifest.
secret() {
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ntype: Opaque\nstringData:\n' "$1" "$namespace"
    shift
    while [ $# -gt 0 ]; do
        printf '  %s: "%s"\n' "$1" "$2"
        shift 2
    done
}

postgres_password=$(random)
url_of() { echo "postgres://adplatform:$postgres_password@$1.$namespace.svc.cluster.local:5432/adplatform"; }

platform() { secret ad-platform-secret admin-api-key "$(random)" notice-secret "local:$(random 32)"; }
redis() { secret redis-secret password "$(random)"; }
postgres() {
    secret postgres-secret username adplatform password "$postgres_password" \
        superuser-password "$(random)" replication-password "$(random)"
    # The one instance is the primary; there is no standby to ask.
    secret database-secret url "$(url_of postgres-service)"
}

exists() { [ -n "$(kubectl --namespace "$namespace" get secret "$1" --ignore-not-found --output name)" ]; }

# make WHAT SECRET: unless the secret is there.
make() {
    if exists "$2"; then
        echo "kept: $2"
    else
        "$1" | kubectl apply -f -
    fi
}

case ${1:-} in
    --print)
        platform
        redis
        postgres
        ;;
    '')
        kubectl apply -f ../../base/ad-platform-namespace.yaml
        make platform ad-platform-secret
        make redis redis-secret
        # The URL holds PostgreSQL's password: both or none.
        if exists postgres-secret && ! exists database-secret; then
            echo "postgres-secret is there without database-secret: delete it if its database is gone too" >&2
            exit 1
        fi
        make postgres postgres-secret
        ;;
    *)
        echo "usage: $0 [--print]" >&2
        exit 64
        ;;
esac
