#!/usr/bin/env bash
# Signs the images of a release by digest, and attests to each what is in it.
#
#   pipeline/sign.sh --registry HOST --images FILE --sboms FOLDER
#
# COSIGN_KEY           a key (file, or a KMS address; COSIGN_PASSWORD opens it). Without one the signature is the pipeline's own
# SIGSTORE_ID_TOKEN    identity, which GitLab vouches for by this token.
# COSIGN_FLAGS         besides, such as --allow-insecure-registry for a registry on this machine
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
. tests/tools.sh
registry='' images='' sboms=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --registry) registry=$(value_of "$@"); shift ;;
        --images) images=$(value_of "$@"); shift ;;
        --sboms) sboms=$(value_of "$@"); shift ;;
        *) wrong "no option $1" ;;
    esac
    shift
done
[ -n "$registry" ] || wrong "--registry is missing"
[ -r "$images" ] || wrong "--images must be the file that pipeline/join.sh wrote"
while read -r program _; do
    [ -r "$sboms/$program.spdx.json" ] || wrong "--sboms: no SBOM of $program in '$sboms'"
done <"$images"
[ -n "${COSIGN_KEY:-}${SIGSTORE_ID_TOKEN:-}" ] || wrong "there is nothing to sign with: neither COSIGN_KEY nor SIGSTORE_ID_TOKEN"
command -v cosign >/dev/null || go_tool cosign github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
read -ra flags <<<"${COSIGN_FLAGS:-}"
[ -z "${COSIGN_KEY:-}" ] || flags+=(--key "$COSIGN_KEY")
while read -r program digest; do
    image=$registry/adplatform/$program@$digest
    cosign sign --yes "${flags[@]}" "$image" </dev/null || failed "$image is not signed"
    cosign attest --yes "${flags[@]}" --type spdxjson --predicate "$sboms/$program.spdx.json" "$image" </dev/null ||
        failed "$image: its SBOM is not attested"
    say "signed: $image"
done <"$images"
