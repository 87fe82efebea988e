#!/usr/bin/env bash
# Which share of the lines the tests run. The last line is "TOTAL 83.1%".
#
#   pipeline/coverage.sh [--least PERCENT] [-- CARGO-TEST-ARGUMENT...]     default: every test of the workspace
#
# Needs cargo-llvm-cov and the toolchain's llvm-tools; installs both where cargo and rustup can.
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
least=0
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --least) least=$(value_of "$@"); shift ;;
        --) shift && break ;;
        *) wrong "no option $1" ;;
    esac
    shift
done
case $least in *[!0-9]*) wrong "--least is a whole number of percent, not $least" ;; esac
[ $# -gt 0 ] || set -- --workspace
need cargo python3
cargo llvm-cov --version >/dev/null 2>&1 || {
    ! command -v rustup >/dev/null || rustup component add llvm-tools
    cargo install --locked cargo-llvm-cov@0.6.21
}
summary=$(mktemp)
trap 'rm -f "$summary"' EXIT
cargo llvm-cov --json --summary-only --output-path "$summary" "$@" || failed "the tests, or what measures them"
python3 -c '
import json, sys
percent = json.load(open(sys.argv[1]))["data"][0]["totals"]["lines"]["percent"]
print(f"TOTAL {percent:.1f}%")
sys.exit(0 if percent >= int(sys.argv[2]) else f"below {sys.argv[2]} %")' "$summary" "$least"
