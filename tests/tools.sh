# shellcheck shell=bash
# Installs what the checks need, once, under target/tools. Sourced by scripts that stand in the project's root; each function
# puts what it installs first in PATH.
TOOLS="$PWD/target/tools"

# install_packages PACKAGE...: by apt-get. Installed, not started: policy-rc.d is how Debian is told so.
install_packages() {
    local policy=/usr/sbin/policy-rc.d made=
    command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ] || { echo "these packages are needed: $*"; return 1; }
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=1; }
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    local status=$?
    [ -z "$made" ] || rm -f "$policy"
    return "$status"
}

# need_program PROGRAM PACKAGE...: the packages when the program is missing.
need_program() {
    local program=$1
    shift
    PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || install_packages "$@"
}

# python_tools NAME REQUIREMENT...: an environment of its own, so that no two tools fight over a dependency. What was asked
# for is written beside it: an environment made for another list is made again.
python_tools() {
    local venv="$TOOLS/$1" wanted
    shift
    wanted="$*"
    if [ "$(cat "$venv/wanted" 2>/dev/null)" != "$wanted" ]; then
        need_program python3 python3 python3-venv || return 1
        rm -rf "$venv"
        python3 -m venv "$venv" >/dev/null 2>&1 || {
            install_packages python3-venv && python3 -m venv "$venv"
        } || return 1
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" || return 1
        printf '%s' "$wanted" >"$venv/wanted"
    fi
    PATH="$venv/bin:$PATH"
}

# go_tool NAME MODULE@VERSION: a program by `go install`, kept by its version.
go_tool() {
    local bin="$TOOLS/go/$1-${2##*@}"
    if [ ! -x "$bin/$1" ]; then
        need_program go golang-go || return 1
        GOBIN="$bin" GOFLAGS=-mod=mod go install "$2" || return 1
    fi
    PATH="$bin:$PATH"
}
