#!/bin/sh
# Leaves of a workspace what its dependencies are built from: each package's manifest and empty targets. A layer made from that
# changes only when a manifest or Cargo.lock does, so that a change of our code does not compile the dependencies again.
# Usage: skeleton.sh FOLDER (which it changes).
set -eu
cd "${1:?usage: skeleton.sh FOLDER}"

# The files of the targets that a manifest names: [[test]], [[bin]] and so on, each with a name and perhaps a path.
named_targets() {
    awk '
        function tell() { if (kind && name) print (path ? path : folder[kind] "/" name ".rs") }
        BEGIN { folder["test"] = "tests"; folder["bench"] = "benches"; folder["example"] = "examples"; folder["bin"] = "src/bin" }
        /^\[/ { tell(); kind = name = path = ""; if (match($0, /^\[\[[a-z]+\]\]/)) kind = substr($0, 3, RLENGTH - 4) }
        kind && /^(name|path) *=/ { value = $0; sub(/^[^"]*"/, "", value); sub(/".*/, "", value); if (/^name/) name = value; else path = value }
        END { tell() }
    ' "$1"
}

find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -name build.rs -delete
# Not "{}" in the script: find would take it for its own.
find . -name build.rs -exec sh -c 'for script; do echo "fn main() { }" >"$script"; done' sh {} +
find . -name Cargo.toml | while read -r manifest; do
    package=${manifest%/Cargo.toml}
    grep -q '^\[package\]' "$manifest" || continue
    mkdir -p "$package/src"
    : >"$package/src/lib.rs"
    echo 'fn main() {}' >"$package/src/main.rs"
    named_targets "$manifest" | while read -r target; do
        mkdir -p "$package/${target%/*}"
        echo 'fn main() {}' >"$package/$target"
    done
done
find . -depth -type d -empty -delete
