# shellcheck shell=bash
# The images that the node runs, as archives for containerd, made without Docker: of programs that were built on this machine, on the
# libraries that docker/Dockerfile takes too, and of Debian's servers. Sourced after tests/tools.sh; stands in the project's root.
NODE_WORK=$PWD/target/node
NODE_SERVICES=(campaign-service bidding-service analytics-service adplatform)

# pause_image: a pod's own process, since no registry is asked for one.
pause_image() {
    [ -e "$NODE_WORK/pause.tar" ] && return
    mkdir -p "$NODE_WORK/pause"
    CGO_ENABLED=0 go build -ldflags '-s -w' -o "$NODE_WORK/pause/pause" k8s/node/pause.go &&
        python3 k8s/node/image.py "$NODE_WORK/pause.tar" "$NODE_WORK/pause" docker.io/local/pause:try '{"Entrypoint": ["/pause"]}'
}

# program_image PROGRAM FOLDER: the program, its libraries, certificates, a name for the user: what the Dockerfile's stage `runtime` has.
program_image() {
    local program=$1 root="$NODE_WORK/$1" library
    rm -rf "$root"
    mkdir -p "$root"/{etc/ssl/certs,usr/bin,usr/lib,usr/lib64,usr/local/bin,tmp,var/lib/adplatform,var/spool/adplatform}
    ln -s usr/lib "$root/lib"
    ln -s usr/lib64 "$root/lib64"
    cp "$2/$program" "$root/usr/local/bin/"
    strip "$root/usr/local/bin/$program"
    for library in $(ldd "$2/$program" | grep -oE '/[^ ]+'); do
        library=/usr${library#/usr}
        mkdir -p "$root/${library%/*}"
        cp -L "$library" "$root$library" || return 1
    done
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
    echo 'adplatform:x:65532:65532::/nonexistent:/sbin/nologin' >"$root/etc/passwd"
    echo 'adplatform:x:65532:' >"$root/etc/group"
    chmod 1777 "$root/tmp"
    chown 65532:65532 "$root/var/lib/adplatform" "$root/var/spool/adplatform"
    python3 k8s/node/image.py "$NODE_WORK/$program.tar" "$root" "docker.io/adplatform/$program:try" "$(printf '{
        "Entrypoint": ["/usr/local/bin/%s"], "User": "65532:65532", "WorkingDir": "/var/lib/adplatform",
        "Env": ["PATH=/usr/local/bin:/usr/bin", "ENVIRONMENT=production", "LOG_FORMAT=json", "DATA_DIR=/var/lib/adplatform",
                "SPOOL_DIR=/var/spool/adplatform"]}' "$program")"
}

# servers_image: PostgreSQL with Patroni, Redis and Kafka's jars on a Debian of debootstrap's; the image of the database and of the others.
servers_image() {
    local root="$NODE_WORK/servers-root"
    [ -e "$NODE_WORK/servers.tar" ] && return
    need_program debootstrap debootstrap || return 1
    if [ ! -e "$NODE_WORK/servers-root.made" ]; then
        echo "making a Debian with the servers (minutes, once)"
        rm -rf "$root"
        debootstrap --variant=minbase --include=openjdk-17-jre-headless,patroni,postgresql,redis-server bookworm "$root" \
            >"$NODE_WORK/debootstrap.log" 2>&1 || { tail -5 "$NODE_WORK/debootstrap.log"; return 1; }
        touch "$NODE_WORK/servers-root.made"
    fi
    # As docker/postgres.Dockerfile has it.
    chroot "$root" sh -euc 'groupmod --gid 65532 postgres; usermod --uid 65532 --gid 65532 postgres
        rm -rf /var/lib/postgresql/* /var/run/postgresql/* /var/log/postgresql/* /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
        chown postgres:postgres /var/lib/postgresql /var/run/postgresql /var/log/postgresql' || return 1
    mkdir -p "$root/opt/kafka/libs"
    if [ -e target/kafka/4.1.0/complete ]; then
        cp target/kafka/4.1.0/*.jar "$root/opt/kafka/libs/"
    else
        need_program mvn maven || return 1
        mvn -q -B -f tests/servers/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
            "-DoutputDirectory=$root/opt/kafka/libs" </dev/null || return 1
    fi
    python3 k8s/node/image.py "$NODE_WORK/servers.tar" "$root" docker.io/adplatform/postgres:try,docker.io/local/servers:try \
        '{"User": "65532:65532", "WorkingDir": "/var/lib/postgresql", "Env": ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]}'
}

# node_images FOLDER: of the programs in FOLDER.
node_images() {
    local program made_of
    mkdir -p "$NODE_WORK"
    pause_image || return 1
    for program in "${NODE_SERVICES[@]}"; do
        [ -x "$1/$program" ] || { echo "$1/$program is missing: cargo build --release --workspace"; return 1; }
        made_of=$(stat --format '%n %s %Y' "$1/$program")
        [ "$(cat "$NODE_WORK/$program.made" 2>/dev/null)" = "$made_of" ] && continue
        program_image "$program" "$1" && echo "$made_of" >"$NODE_WORK/$program.made" || return 1
    done
    servers_image
}
