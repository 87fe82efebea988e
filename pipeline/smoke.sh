#!/usr/bin/env bash
# Whether a deployed platform answers as its contract says, asked from outside, over the way that clients take. It changes nothing.
#
#   pipeline/smoke.sh --api URL --bidding URL
#
# SMOKE_API_KEY           a viewer's key: lists and reports are read with it; without one only that no key is refused is asked
# SMOKE_EXCHANGE_SECRET   what the exchange "default" sends in its header x-exchange: a bid is asked for with it; without one only
#                         that a malformed request is refused
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
api='' bidding=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --api) api=$(value_of "$@"); shift ;;
        --bidding) bidding=$(value_of "$@"); shift ;;
        *) wrong "no option $1" ;;
    esac
    shift
done
for url in "$api" "$bidding"; do
    case $url in http://?* | https://?*) ;; *) wrong "--api and --bidding need URLs, not '$url'" ;; esac
done
need curl
missed=0
secrets=$(mktemp) # curl reads headers from it: arguments stand in the process list
trap 'rm -f "$secrets"' EXIT

# answers WHAT STATUSES CURL-ARGUMENT...: the status is one of them.
answers() {
    local what=$1 statuses=$2 status
    shift 2
    status=$(curl --silent --show-error --output /dev/null --max-time 10 --retry 3 --retry-connrefused --retry-delay 2 \
        --write-out '%{http_code}' "$@" 2>&1) || true
    case " $statuses " in
        *" ${status##*$'\n'} "*) say "ok: $what: $status" ;;
        *)
            missed=$((missed + 1))
            say "FAILED: $what: $status, not one of $statuses"
            ;;
    esac
}
with_header() { printf '%s: %s\n' "$1" "$2" >"$secrets"; }

json='content-type: application/json'
answers "the bidder is ready" 200 "$bidding/ready"
answers "a malformed bid request is refused" "400 403" "$bidding/openrtb2/bid" -H "$json" -d '{'
if [ -n "${SMOKE_EXCHANGE_SECRET:-}" ]; then
    with_header x-exchange "$SMOKE_EXCHANGE_SECRET"
    answers "a bid request is answered" "200 204" "$bidding/openrtb2/bid" -H "$json" -H "@$secrets" \
        -d '{"id":"smoke","imp":[{"id":"1","banner":{"w":300,"h":250}}],"site":{"domain":"smoke.example"}}'
fi
answers "the API wants a key" 401 "$api/campaigns"
answers "an unknown key is refused" 401 "$api/campaigns" -H 'authorization: Bearer adp_nobody_nothing'
if [ -n "${SMOKE_API_KEY:-}" ]; then
    with_header authorization "Bearer $SMOKE_API_KEY"
    answers "campaigns are listed" 200 "$api/campaigns?page_size=1" -H "@$secrets"
    answers "a report is answered" 200 "$api/analytics/report?dimensions=campaign&granularity=day" -H "@$secrets"
fi
[ "$missed" -eq 0 ] || failed "$missed of the answers are not what the contract says"
