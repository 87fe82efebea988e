#!/bin/sh
# Puts the images of both architectures under one tag, and writes down by which digest each is known: what is scanned, signed and
# deployed from here on is what that digest says.
#
#   pipeline/join.sh --registry HOST --tag TAG --images FILE [--add] [--only ARCHITECTURE] [PROGRAM...]
#
#   --images FILE         is written: a line "PROGRAM sha256:..." each
#   --add                 what FILE has of other programs stays
#   --only ARCHITECTURE   amd64 or arm64: there is no machine for the other one
set -eu
cd "$(dirname "$0")/.." || exit
. pipeline/say.sh
registry='' tag='' images='' add='' architectures='amd64 arm64'
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --registry) registry=$(value_of "$@"); shift ;;
        --tag) tag=$(value_of "$@"); shift ;;
        --images) images=$(value_of "$@"); shift ;;
        --add) add=1 ;;
        --only) architectures=$(value_of "$@"); shift ;;
        -*) wrong "no option $1" ;;
        *) break ;;
    esac
    shift
done
[ -n "$registry" ] || wrong "--registry is missing"
[ -n "$images" ] || wrong "--images is missing"
a_tag "$tag"
for arch in $architectures; do
    case $arch in amd64 | arm64) ;; *) wrong "no architecture is called $arch" ;; esac
done
[ $# -gt 0 ] || set -- campaign-service bidding-service analytics-service adplatform
need docker

written=$images.part
if [ -n "$add" ] && [ -e "$images" ]; then cp "$images" "$written"; else : >"$written"; fi
for program in "$@"; do
    name=$registry/adplatform/$program
    parts=
    for arch in $architectures; do
        parts="$parts $name:$tag-$arch"
    done
    # shellcheck disable=SC2086 # several words
    docker buildx imagetools create --tag "$name:$tag" $parts || failed "$name:$tag is not made of$parts"
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$name:$tag") || failed "$name:$tag has no digest"
    case $digest in
        sha256:*) ;;
        *) failed "$name:$tag: $digest is no digest" ;;
    esac
    sed -i "/^$program /d" "$written"
    echo "$program $digest" >>"$written"
    say "joined: $name:$tag is $digest"
done
mv "$written" "$images"
