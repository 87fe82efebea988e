#!/bin/sh
# Builds the images of one release for the architecture of this machine.
#
#   pipeline/build.sh --registry HOST --tag TAG [--push] [PROGRAM...]
#
#   --registry HOST   such as registry.adplatform.com; images are HOST/adplatform/PROGRAM:TAG-amd64 (or -arm64)
#   --tag TAG         of the release: a version or a commit
#   --push            with buildx: layers are cached in the registry, the image carries its provenance; without: docker build,
#                     for this machine alone
#   PROGRAM           campaign-service, bidding-service, analytics-service, adplatform: the default; or postgres, whose tag is the
#                     one that k8s/components/data-plain/postgres names: no release restarts the database
#
# RUST_IMAGE, POSTGRES_BASE_IMAGE   the bases, by digest in a release
# REVISION, CREATED                 the commit, and its time (RFC 3339)
set -eu
cd "$(dirname "$0")/.." || exit
. pipeline/say.sh
registry='' tag='' push=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --registry) registry=$(value_of "$@"); shift ;;
        --tag) tag=$(value_of "$@"); shift ;;
        --push) push=1 ;;
        -*) wrong "no option $1" ;;
        *) break ;;
    esac
    shift
done
[ -n "$registry" ] || wrong "--registry is missing"
a_tag "$tag"
[ $# -gt 0 ] || set -- campaign-service bidding-service analytics-service adplatform
for program in "$@"; do
    case $program in
        campaign-service | bidding-service | analytics-service | adplatform | postgres) ;;
        *) wrong "no image is called $program" ;;
    esac
done
need docker
case $(uname -m) in
    x86_64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) wrong "nothing is built for $(uname -m)" ;;
esac

# build PROGRAM IMAGE ARGUMENT...: what both builders understand, then what the wanted one does besides.
build() {
    program=$1 image=$2
    shift 2
    if [ "$program" = postgres ]; then
        set -- "$@" --file docker/postgres.Dockerfile
        [ -z "${POSTGRES_BASE_IMAGE:-}" ] || set -- "$@" --build-arg "BASE_IMAGE=$POSTGRES_BASE_IMAGE"
        context=docker
    else
        set -- "$@" --file docker/Dockerfile --target "$program" --build-arg "VERSION=$tag" \
            --build-arg "REVISION=${REVISION:-unknown}" --build-arg "CREATED=${CREATED:-1970-01-01T00:00:00Z}"
        [ -z "${RUST_IMAGE:-}" ] || set -- "$@" --build-arg "RUST_IMAGE=$RUST_IMAGE"
        context=.
    fi
    if [ -n "$push" ]; then
        docker buildx build --builder adplatform --platform "linux/$arch" --pull --provenance mode=max --push --tag "$image" \
            --cache-from "type=registry,ref=$registry/adplatform/cache:$program-$arch" \
            --cache-to "type=registry,mode=max,ref=$registry/adplatform/cache:$program-$arch" "$@" "$context"
    else
        docker build --tag "$image" "$@" "$context"
    fi
}

# The builder that comes with Docker exports no cache to a registry.
[ -z "$push" ] || docker buildx inspect adplatform >/dev/null 2>&1 ||
    docker buildx create --name adplatform --driver docker-container >/dev/null || failed "buildx has no builder"
for program in "$@"; do
    image=$registry/adplatform/$program:$tag-$arch
    build "$program" "$image" || failed "$image is not built"
    say "built: $image"
done
