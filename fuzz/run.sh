#!/usr/bin/env bash
# Fuzzes everything that reads bytes from outside: fuzz/run.sh [TARGET|all|none] [SECONDS]; with none it is built only
# Each target runs for SECONDS (default 60) from the samples of the tests and what earlier runs found (target/fuzz/corpus); what
# breaks one is left in target/fuzz/found. Needs Rust and a C++ compiler; coverage is the compiler's own, no nightly.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
seconds=${2:-60}
targets=(openrtb_request openrtb_response native_request notice_token engine lists)
case $what in all) ;; none) targets=() ;; *) targets=("$what") ;; esac

coverage="-Cpasses=sancov-module -Ccodegen-units=1 --cfg fuzzing -Cllvm-args=-sanitizer-coverage-level=4"
coverage+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
coverage+=" -Cllvm-args=-sanitizer-coverage-trace-compares"
# A target of its own triple: build scripts and macros are built without coverage.
triple=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=$PWD/target/fuzz
RUSTFLAGS=$coverage cargo build --manifest-path fuzz/Cargo.toml --release --quiet --target "$triple"

for target in "${targets[@]}"; do
    corpus=target/fuzz/corpus/$target
    mkdir -p "$corpus" "target/fuzz/found/$target"
    seeds=()
    case $target in openrtb_*) seeds=(crates/openrtb/tests/samples) ;; esac
    printf '\n== %s, %s s\n' "$target" "$seconds"
    "target/fuzz/$triple/release/$target" "$corpus" "${seeds[@]}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -max_len=16384 -dict=fuzz/openrtb.dict -print_final_stats=1 -artifact_prefix="target/fuzz/found/$target/" \
        >"target/fuzz/$target.log" 2>&1 || { tail -40 "target/fuzz/$target.log"; exit 1; }
    grep -hE '^stat::(number|new|slowest|peak)' "target/fuzz/$target.log"
    echo "ok: $target"
done
