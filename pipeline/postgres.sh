#!/bin/sh
# The database's image, which has tags of its own, so that no release restarts the database: the version that
# k8s/components/data-plain/postgres names, and the month, such as 0.1.0-2026-11. One that the registry has is taken as it is; so a month's
# first pipeline, or its schedule, brings Debian's security updates. What cannot wait for it: another version.
#
#   pipeline/postgres.sh build --registry HOST                 for the architecture of this machine, and pushed, if it is not there
#   pipeline/postgres.sh join --registry HOST --images FILE    its digest joins those of the release, which pipeline/join.sh wrote
#   pipeline/postgres.sh tag                                   the tag, and nothing else
#
# PIPELINE_TIME          of the whole pipeline (RFC 3339), so that a month that ends in it is no other tag; default: now
# POSTGRES_BASE_IMAGE    pipeline/build.sh
set -eu
cd "$(dirname "$0")/.." || exit
. pipeline/say.sh
what='' registry='' images=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --registry) registry=$(value_of "$@"); shift ;;
        --images) images=$(value_of "$@"); shift ;;
        build | join | tag) what=$1 ;;
        *) wrong "no option $1" ;;
    esac
    shift
done
[ -n "$what" ] || wrong "build, join or tag"
version=$(sed -n 's/^ *newTag: *//p' k8s/components/data-plain/postgres/kustomization.yaml)
time=${PIPELINE_TIME:-$(date -u +%Y-%m-%d)}
case $time in
    20[0-9][0-9]-[01][0-9]-*) month=$(printf %.7s "$time") ;;
    *) wrong "PIPELINE_TIME is no time: $time" ;;
esac
tag=$version-$month
a_tag "$tag"
[ "$what" != tag ] || { say "$tag"; exit; }
[ -n "$registry" ] || wrong "--registry is missing"
need docker
if [ "$what" = join ]; then
    [ -s "$images" ] || wrong "--images must be the file that pipeline/join.sh wrote"
    exec pipeline/join.sh --registry "$registry" --tag "$tag" --images "$images" --add postgres
fi
case $(uname -m) in
    x86_64) arch=amd64 ;;
    *) arch=arm64 ;;
esac
if docker buildx imagetools inspect "$registry/adplatform/postgres:$tag-$arch" >/dev/null 2>&1; then
    say "there already: $registry/adplatform/postgres:$tag-$arch"
else
    exec pipeline/build.sh --registry "$registry" --tag "$tag" --push postgres
fi
