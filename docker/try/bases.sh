# shellcheck shell=bash
# Base images made on this machine by debootstrap, for a place that can pull none. Sourced after daemon.sh.
DEBIAN=bookworm

# debian_image IMAGE PACKAGE...: a Debian with these packages. The mirror is debootstrap's own.
debian_image() {
    local image=$1 root packages
    docker image inspect "$image" >/dev/null 2>&1 && return
    shift
    need_program debootstrap debootstrap || return 1
    root=$(mktemp -d "$DOCKER_ROOT/root.XXXXXX")
    packages=$(printf '%s,' "$@")
    echo "making $image (a minute, once)"
    if ! debootstrap --variant=minbase --include="${packages%,}" "$DEBIAN" "$root" >"$DOCKER_ROOT/debootstrap.log" 2>&1; then
        echo "debootstrap failed:"
        tail -5 "$DOCKER_ROOT/debootstrap.log"
        rm -rf "$root"
        return 1
    fi
    tar -C "$root" --exclude './var/cache/apt/archives/*.deb' --exclude './var/lib/apt/lists/*' --exclude './dev/*' -cf - . |
        docker import - "$image" >/dev/null
    rm -rf "$root"
}

# rust_image IMAGE: this machine's toolchain on a Debian, and every crate of Cargo.lock, so that a build needs no network.
rust_image() {
    local image=$1 stage toolchain
    docker image inspect "$image" >/dev/null 2>&1 && return
    debian_image local/builder ca-certificates g++ gcc libc6-dev make perl || return 1
    stage=$(mktemp -d "$DOCKER_ROOT/rust.XXXXXX")
    toolchain=$(rustc --print sysroot)
    mkdir -p "$stage/local/cargo"
    tar -C "$toolchain" --exclude rustc-src -cf - bin lib | tar -C "$stage/local" -xf -
    cargo vendor --locked --quiet "$stage/local/cargo/vendor" >/dev/null || { rm -rf "$stage"; return 1; }
    cat >"$stage/local/cargo/config.toml" <<'CONFIG'
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/usr/local/cargo/vendor"
[net]
offline = true
CONFIG
    docker build --quiet --network none --tag "$image" --file - "$stage" <<'DOCKERFILE' >"$DOCKER_ROOT/bases.log" 2>&1 || { cat "$DOCKER_ROOT/bases.log"; return 1; }
FROM local/builder
COPY local /usr/local
ENV CARGO_HOME=/usr/local/cargo
DOCKERFILE
    rm -rf "$stage"
}

# servers_image IMAGE: the stores and Prometheus as Debian has them, and Kafka's jars where its own image has them.
servers_image() {
    local image=$1 stage
    docker image inspect "$image" >/dev/null 2>&1 && return
    debian_image local/debian-servers openjdk-17-jre-headless patroni postgresql prometheus redis-server || return 1
    need_program mvn maven || return 1
    stage=$(mktemp -d "$DOCKER_ROOT/kafka.XXXXXX")
    mvn -q -B -f tests/servers/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
        "-DoutputDirectory=$stage/libs" </dev/null || { rm -rf "$stage"; return 1; }
    docker build --quiet --network none --tag "$image" --file - "$stage" <<'DOCKERFILE' >"$DOCKER_ROOT/bases.log" 2>&1 || { cat "$DOCKER_ROOT/bases.log"; return 1; }
FROM local/debian-servers
COPY libs /opt/kafka/libs
DOCKERFILE
    rm -rf "$stage"
}
