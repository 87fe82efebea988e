#!/usr/bin/env bash
# Deploys one release to the cluster that kubectl speaks to, watches it, and takes it back by itself when it does not hold.
#
#   pipeline/deploy.sh ENVIRONMENT --tag TAG --images FILE [OPTION...]
#
#   ENVIRONMENT            staging, production
#   --tag TAG              of the release
#   --images FILE          its digests, as pipeline/join.sh wrote them: signatures are verified, and digests are what runs
#   --unsigned             instead of --images: by tag, without a look at signatures
#   --registry HOST        default registry.adplatform.com
#   --prometheus URL       who is asked whether the objectives burn (pipeline/slo.py); default: PROMETHEUS_URL, else service prometheus of
#                          namespace monitoring, through `kubectl port-forward`; --unwatched instead: nobody
#   --watch SECONDS        how long after the rollout; 600
#   --strategy STRATEGY    rolling (default), or canary: first some bidders of the release beside the old ones, watched alone
#   --canaries NUMBER      how many; 1
#   --canary-watch SECONDS 300
#   --quiet-is-well        too little traffic to judge is no failure
#   --smoke                pipeline/smoke.sh after the rollout, on API_URL and BIDDING_URL
#   --context NAME         of the kubeconfig; what it says otherwise
#
# In order: signatures; whether Prometheus answers; what the charts do not own, and the migrations; canary; the three services, readers first; smoke; watch. What
# fails, or is interrupted, ends with the services where they were, and exit code 1 (or the signal's). What kustomize applied and the
# schema stay: an older release runs on both.
# NAMESPACE, TIMEOUT       ad-platform, 600s for each rollout
# PATIENCE                 seconds within which Prometheus answers; 30
# SLO_FLAGS                further options of pipeline/slo.py
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
. pipeline/releases.sh
. tests/tools.sh
TIMEOUT=${TIMEOUT:-600s}
environment='' tag='' images='' unsigned='' registry=registry.adplatform.com strategy=rolling canaries=1 smoke=''
prometheus=${PROMETHEUS_URL:-} unwatched='' watch=600 canary_watch=300
read -ra slo_flags <<<"${SLO_FLAGS:-}"
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --tag) tag=$(value_of "$@"); shift ;;
        --images) images=$(value_of "$@"); shift ;;
        --unsigned) unsigned=1 ;;
        --registry) registry=$(value_of "$@"); shift ;;
        --prometheus) prometheus=$(value_of "$@"); shift ;;
        --unwatched) unwatched=1 ;;
        --watch) watch=$(value_of "$@"); shift ;;
        --strategy) strategy=$(value_of "$@"); shift ;;
        --canaries) canaries=$(value_of "$@"); shift ;;
        --canary-watch) canary_watch=$(value_of "$@"); shift ;;
        --quiet-is-well) slo_flags+=(--quiet-is-well) ;;
        --smoke) smoke=1 ;;
        --context) HELM_KUBECONTEXT=$(value_of "$@"); export HELM_KUBECONTEXT; shift ;;
        -*) wrong "no option $1" ;;
        *)
            [ -z "$environment" ] || wrong "one environment at a time"
            environment=$1
            ;;
    esac
    shift
done
case $environment in staging | production) ;; *) wrong "ENVIRONMENT is staging or production" ;; esac
a_tag "$tag"
[ -n "$images$unsigned" ] || wrong "--images is missing (or --unsigned)"
[ -z "$images" ] || [ -z "$unsigned" ] || wrong "--images and --unsigned do not go together"
[ -z "$images" ] || [ -s "$images" ] || wrong "$images cannot be read"
if [ -n "$smoke" ] && { [ -z "${API_URL:-}" ] || [ -z "${BIDDING_URL:-}" ]; }; then
    wrong "--smoke needs API_URL and BIDDING_URL"
fi
case $strategy in rolling | canary) ;; *) wrong "a strategy is rolling or canary" ;; esac
[ "$strategy" = rolling ] || [ -z "$unwatched" ] || wrong "a canary that nobody watches says nothing"
for number in "$watch" "$canary_watch" "$canaries"; do
    case $number in '' | *[!0-9]* | 0) wrong "'$number' is no number above zero" ;; esac
done
deploy_tools
[ -n "$unwatched" ] || need curl python3

kube() { kubectl ${HELM_KUBECONTEXT:+--context "$HELM_KUBECONTEXT"} --namespace "$NAMESPACE" "$@"; }

# chart SERVICE RELEASE SET...: installed or upgraded, and waited for.
chart() {
    local service=$1 release=$2 digest
    shift 2
    if [ -n "$images" ]; then
        digest=$(digest_of "$service" "$images") || return 1
        set -- --set-string "image.digest=$digest" "$@"
    fi
    helm upgrade --install "$release" "k8s/helm/$service" --namespace "$NAMESPACE" --history-max 20 --wait --timeout "$TIMEOUT" \
        --values "k8s/helm/values-$environment.yaml" --values "k8s/helm/$service/values-$environment.yaml" \
        --set-string "image.registry=$registry" --set-string "image.tag=$tag" "$@" 2>&1 >/dev/null | { grep -v 'found symbolic link in path' >&2 || true; }
}

# What was there before, by service; and what this run has touched, last first.
declare -A before=()
touched=()
canary=''
watcher=''
forwarder=''

# take_back STATUS: everything as it was.
take_back() {
    local status=$1 service
    trap - EXIT
    trap '' INT TERM
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
    [ -z "$forwarder" ] || kill "$forwarder" 2>/dev/null || true
    if [ -n "$canary" ]; then
        helm uninstall bidding-service-canary --namespace "$NAMESPACE" --wait --timeout "$TIMEOUT" >/dev/null &&
            say "taken away: bidding-service-canary"
    fi
    if [ "$status" -ne 0 ]; then
        for service in "${touched[@]}"; do
            if [ "${before[$service]}" -eq 0 ]; then
                say "left as it is: $service, which was not there before"
            else
                back_to "$service" "${before[$service]}" || say "FAILED: $service is not back at revision ${before[$service]}: pipeline/rollback.sh"
            fi
        done
        say "not deployed: $tag to $environment"
    fi
    exit "$status"
}
trap 'take_back $?' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A pipeline that was killed leaves a release that Helm takes no upgrade of.
note_what_is_there() {
    local service
    for service in "${SERVICES[@]}"; do
        before[$service]=$(revision "$service" deployed)
        if [ "$(revision "$service" pending-upgrade)" -gt "${before[$service]}" ] && [ "${before[$service]}" -gt 0 ]; then
            back_to "$service" "${before[$service]}" || failed "$service hangs in an upgrade"
            before[$service]=$(revision "$service" deployed)
        fi
    done
}

prepare() {
    local job deadline state=''
    local arguments=("$environment" --shared --tag "$tag" --registry "$registry")
    [ -z "$images" ] || arguments+=(--images "$images")
    job=$(k8s/release.sh "${arguments[@]}" --job)
    # A Job cannot be changed: one of an earlier try of this release makes way, since its image may be another by digest, or it failed.
    kube delete "job/$job" --ignore-not-found >/dev/null || failed "$job of before stays"
    k8s/release.sh "${arguments[@]}" | kube apply -f - >/dev/null || failed "what the charts do not own is not applied"
    deadline=$((SECONDS + ${TIMEOUT%s}))
    while :; do
        state=$(kube get "job/$job" --output 'jsonpath={.status.conditions[?(@.status=="True")].type}')
        case $state in *Failed* | *Complete*) break ;; esac
        [ "$SECONDS" -lt "$deadline" ] || failed "$job does not end"
        sleep 1
    done
    if [[ $state = *Failed* ]]; then
        kube logs "job/$job" --all-containers --tail 5 >&2 || true
        failed "$job failed: nothing is rolled out"
    fi
    say "migrated: $job"
}

# forward PORT: on this machine, to Prometheus; again when it ends, as it does with the pod that it leads to.
forward() {
    local child=''
    trap 'kill "$child" 2>/dev/null; exit' TERM
    while :; do
        kubectl ${HELM_KUBECONTEXT:+--context "$HELM_KUBECONTEXT"} --namespace monitoring port-forward --address 127.0.0.1 \
            service/prometheus "$1:9090" >/dev/null &
        child=$!
        wait "$child" || true
        sleep 1 &
        child=$!
        wait "$child"
    done
}

# find_prometheus: one that does not answer would end in a rollback; so it is asked before anything is touched.
find_prometheus() {
    local port deadline=$((SECONDS + ${PATIENCE:-30}))
    [ -z "$unwatched" ] || return 0
    if [ -z "$prometheus" ]; then
        port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        forward "$port" &
        forwarder=$!
        prometheus=http://127.0.0.1:$port
    fi
    until curl --silent --fail --output /dev/null --max-time 5 "$prometheus/api/v1/query?query=1"; do
        [ "$SECONDS" -lt "$deadline" ] || failed "no Prometheus answers at $prometheus: nothing is touched"
        sleep 1
    done
}

# holds SECONDS ARGUMENT...: the objectives do not burn.
holds() {
    [ -z "$unwatched" ] || return 0
    local seconds=$1
    shift
    # Waited for and not called: a signal is answered at once, not when the watch is over.
    pipeline/slo.py --prometheus "$prometheus" --namespace "$NAMESPACE" --seconds "$seconds" "${slo_flags[@]}" "$@" &
    watcher=$!
    wait "$watcher" || return
    watcher=''
}

try_canary() {
    [ "${before[bidding-service]}" -gt 0 ] || failed "a canary needs a release beside it: the first one is rolled out"
    canary=1
    chart bidding-service bidding-service-canary --set canary.enabled=true --set "canary.replicas=$canaries" ||
        failed "the canary does not turn ready"
    say "canary: $canaries of bidding-service, watched for $canary_watch s"
    holds "$canary_watch" --objective bids --pods 'bidding-service-canary-.*' || failed "the canary does not hold"
    helm uninstall bidding-service-canary --namespace "$NAMESPACE" --wait --timeout "$TIMEOUT" >/dev/null || failed "the canary stays"
    canary=''
}

roll() {
    local service
    for service in "${SERVICES[@]}"; do
        touched=("$service" "${touched[@]}")
        chart "$service" "$service" || failed "the rollout of $service"
        say "rolled out: $service"
    done
}

[ -z "$images" ] || pipeline/verify.sh --registry "$registry" --images "$images" || failed "the signatures"
find_prometheus
note_what_is_there
prepare
[ "$strategy" = rolling ] || try_canary
roll
[ -z "$smoke" ] || pipeline/smoke.sh --api "$API_URL" --bidding "$BIDDING_URL" || failed "the smoke test"
holds "$watch" || failed "the release does not hold"
say "deployed: $tag to $environment"
