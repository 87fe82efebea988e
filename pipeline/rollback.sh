#!/usr/bin/env bash
# Takes the services back to the release before, by hand: pipeline/deploy.sh does so by itself when a release does not hold while
# it watches. The schema stays: an older release runs on a newer one.
#
#   pipeline/rollback.sh [--context NAME] [SERVICE...]      default: all three
#
# NAMESPACE, TIMEOUT   ad-platform, 600s
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
. pipeline/releases.sh
. tests/tools.sh
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --context) export HELM_KUBECONTEXT; HELM_KUBECONTEXT=$(value_of "$@"); shift ;;
        -*) wrong "no option $1" ;;
        *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || set -- campaign-service bidding-service analytics-service
for service in "$@"; do
    case $service in campaign-service | bidding-service | analytics-service) ;; *) wrong "no service is called $service" ;; esac
done
deploy_tools
missed=0
# Writers first: the other way round than a deployment.
for service in "$@"; do
    previous=$(before "$service")
    if [ "$previous" -eq 0 ]; then
        say "FAILED: $service has no release before this one"
        missed=1
    else
        back_to "$service" "$previous" || { say "FAILED: $service is not back at revision $previous"; missed=1; }
    fi
done
exit "$missed"
