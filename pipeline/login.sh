#!/bin/sh
# Makes the registry's password known to whatever speaks to it (docker, syft, cosign), in DOCKER_CONFIG.
#
#   pipeline/login.sh --registry HOST
#
# REGISTRY_USER, REGISTRY_PASSWORD
# DOCKER_CONFIG    the folder; default ~/.docker
set -eu
cd "$(dirname "$0")/.." || exit
. pipeline/say.sh
registry=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --registry) registry=$(value_of "$@"); shift ;;
        *) wrong "no option $1" ;;
    esac
    shift
done
case $registry in '' | *[!A-Za-z0-9.:-]*) wrong "--registry HOST, not '$registry'" ;; esac
[ -n "${REGISTRY_USER:-}" ] || wrong "REGISTRY_USER is not set"
[ -n "${REGISTRY_PASSWORD:-}" ] || wrong "REGISTRY_PASSWORD is not set"
folder=${DOCKER_CONFIG:-$HOME/.docker}
umask 077
mkdir -p "$folder"
# What stands there of other registries on a developer's machine is not ours to replace.
[ ! -e "$folder/config.json" ] || grep -q "\"$registry\"" "$folder/config.json" ||
    wrong "$folder/config.json knows other registries: docker login $registry, or another DOCKER_CONFIG"
auth=$(printf '%s:%s' "$REGISTRY_USER" "$REGISTRY_PASSWORD" | base64 | tr -d '\n')
printf '{"auths": {"%s": {"auth": "%s"}}}\n' "$registry" "$auth" >"$folder/config.json"
say "logged in to $registry as $REGISTRY_USER"
