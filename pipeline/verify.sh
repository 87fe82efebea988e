#!/usr/bin/env bash
# Whether every image of a release was signed by our own pipeline. pipeline/deploy.sh deploys nothing else.
#
#   pipeline/verify.sh --registry HOST --images FILE
#
# COSIGN_PUBLIC_KEY    of COSIGN_KEY, when it was signed with one; else:
# SIGNED_BY            the pipeline's identity, such as https://gitlab.com/GROUP/PROJECT//.gitlab-ci.yml@refs/heads/main
# SIGNED_FOR           who vouches for it; default https://gitlab.com
# COSIGN_FLAGS         besides
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
. tests/tools.sh
registry='' images=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --registry) registry=$(value_of "$@"); shift ;;
        --images) images=$(value_of "$@"); shift ;;
        *) wrong "no option $1" ;;
    esac
    shift
done
[ -n "$registry" ] || wrong "--registry is missing"
[ -s "$images" ] || wrong "--images must be the file that pipeline/join.sh wrote"
read -ra flags <<<"${COSIGN_FLAGS:-}"
if [ -n "${COSIGN_PUBLIC_KEY:-}" ]; then
    flags+=(--key "$COSIGN_PUBLIC_KEY")
elif [ -n "${SIGNED_BY:-}" ]; then
    flags+=(--certificate-identity "$SIGNED_BY" --certificate-oidc-issuer "${SIGNED_FOR:-https://gitlab.com}")
else
    wrong "whose signature? neither COSIGN_PUBLIC_KEY nor SIGNED_BY is set"
fi
command -v cosign >/dev/null || go_tool cosign github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
while read -r program digest; do
    image=$registry/adplatform/$program@$digest
    cosign verify "${flags[@]}" "$image" </dev/null >/dev/null || failed "$image is not signed by us"
    say "verified: $image"
done <"$images"
