#!/usr/bin/env bash
# Looks up known vulnerabilities of everything that the SBOMs name. One that is high or critical and has a fix fails, unless
# pipeline/grype.yaml says why it does not concern us.
#
#   pipeline/scan.sh FOLDER        the folder that pipeline/sbom.sh wrote
#
# The database of vulnerabilities is fetched by grype; one that is older than five days is refused by it.
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
. tests/tools.sh
case ${1:-} in
    --help | -h) help && exit ;;
    '' | -*) wrong "a folder with SBOMs is needed" ;;
esac
shopt -s nullglob
boms=("$1"/*.spdx.json)
[ ${#boms[@]} -gt 0 ] || wrong "$1 has no SBOM"
command -v grype >/dev/null || go_tool grype github.com/anchore/grype/cmd/grype@v0.121.2
status=0
for bom in "${boms[@]}"; do
    say "scanning $bom"
    grype --config pipeline/grype.yaml --fail-on high --only-fixed "sbom:$bom" || status=1
done
[ "$status" -eq 0 ] || failed "a known vulnerability is in it, or nothing could be looked up"
