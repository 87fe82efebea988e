#!/usr/bin/env bash
# Builds what is measured and runs the benchmarks: benches/run.sh [NAME] [--json] (see --help for the rest).
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet -p adplatform-benches -p adplatform -p bidding-service -p analytics-service \
    -p campaign-service
exec target/release/bench "$@"
