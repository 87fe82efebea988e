#!/bin/sh
# Builds the images of one release for the architecture of this machine.
#
#   pipeline/build.sh --registry HOST --tag TAG [--push] [PROGRAM...]
#
#   --registry HOST   such as registry.adplatform.com; images are HOST/adplatform/PROGRAM:TAG-amd64 (or -arm64)
#   --tag TAG         of the release: a version or a commit
#   --push            with buildx: layers are cached in the registry, the image carries its provenance; without: docker build,
#                     for this machine alone
#   PROGRAM           campaign-service, bidding-service, analytics-service, adplatform: the default; or postgres, which
#                     has tags of its own (pipeline/postgres.sh): no release restarts the database
#
# RUST_IMAGE, POSTGRES_BASE_IMAGE   the bases; default: those of the Dockerfiles. What is pushed is built on them by digest: a tag is
#                                   looked up once, and label org.opencontainers.image.base.digest says what it was
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

# default_of ARGUMENT FILE: what a Dockerfile has where nobody says otherwise.
default_of() { sed -n "s/^ARG $1=//p" "$2" | head -1; }

# by_digest IMAGE: as it is where it has a digest already.
by_digest() {
    case $1 in
        *@sha256:*) printf '%s' "$1" && return ;;
    esac
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1") || failed "$1 cannot be looked up"
    case $digest in
        sha256:*) printf '%s@%s' "$1" "$digest" ;;
        *) failed "$1: $digest is no digest" ;;
    esac
}

# build PROGRAM IMAGE ARGUMENT...: what both builders understand, then what the wanted one does besides.
build() {
    program=$1 image=$2
    shift 2
    if [ "$program" = postgres ]; then
        set -- "$@" --file docker/postgres.Dockerfile
        argument=BASE_IMAGE base=$postgres_base context=docker
    else
        set -- "$@" --file docker/Dockerfile --target "$program" --build-arg "VERSION=$tag" \
            --build-arg "REVISION=${REVISION:-unknown}" --build-arg "CREATED=${CREATED:-1970-01-01T00:00:00Z}"
        argument=RUST_IMAGE base=$rust_image context=.
    fi
    [ -z "$base" ] || set -- "$@" --build-arg "$argument=$base"
    case $base in
        *@sha256:*)
            set -- "$@" --label "org.opencontainers.image.base.name=${base%@*}" --label "org.opencontainers.image.base.digest=${base#*@}"
            ;;
    esac
    if [ -n "$push" ]; then
        # Debian's packages are what is built anew for: a layer of before has those of before.
        if [ "$program" = postgres ]; then
            set -- "$@" --no-cache
        else
            set -- "$@" --cache-from "type=registry,ref=$registry/adplatform/cache:$program-$arch" \
                --cache-to "type=registry,mode=max,ref=$registry/adplatform/cache:$program-$arch"
        fi
        docker buildx build --builder adplatform --platform "linux/$arch" --pull --provenance mode=max --push --tag "$image" "$@" "$context"
    else
        docker build --tag "$image" "$@" "$context"
    fi
}

rust_image=${RUST_IMAGE:-} postgres_base=${POSTGRES_BASE_IMAGE:-}
if [ -n "$push" ]; then
    for program in "$@"; do
        case $program in
            postgres)
                postgres_base=${postgres_base:-$(default_of BASE_IMAGE docker/postgres.Dockerfile)}
                postgres_base=$(by_digest "$postgres_base") || exit
                ;;
            *)
                rust_image=${rust_image:-$(default_of RUST_IMAGE docker/Dockerfile)}
                rust_image=$(by_digest "$rust_image") || exit
                ;;
        esac
    done
    # The builder that comes with Docker exports no cache to a registry. One that is made takes no TLS from the environment, where
    # GitLab's Docker service has it: a context holds it. A builder may not be called as a context is.
    if ! docker buildx inspect adplatform >/dev/null 2>&1; then
        docker context inspect adplatform-daemon >/dev/null 2>&1 || docker context create adplatform-daemon >/dev/null ||
            failed "docker has no context"
        docker buildx create --name adplatform --driver docker-container adplatform-daemon >/dev/null || failed "buildx has no builder"
    fi
fi
for program in "$@"; do
    image=$registry/adplatform/$program:$tag-$arch
    build "$program" "$image" || failed "$image is not built"
    say "built: $image"
done
