# shellcheck shell=sh
# What the pipeline's scripts share: a script's help is the comment at its head. Sourced with $0 as it was called. For any
# POSIX shell: an image with Docker's client has no other.

# help: of the script that runs.
help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# wrong WORDS: the call is a mistake.
wrong() {
    printf '%s: %s\n' "$0" "$*" >&2
    printf 'see %s --help\n' "$0" >&2
    exit 64
}

# failed WORDS: the call is right, and what it is for is not so.
failed() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

say() { printf '%s\n' "$*"; }

# value_of FLAG REST...: REST's first word, which FLAG must have.
value_of() {
    [ $# -ge 2 ] && [ -n "$2" ] || wrong "$1 needs a value"
    printf '%s' "$2"
}

# need PROGRAM...: without them there is nothing to do.
need() {
    for need_program in "$@"; do
        command -v "$need_program" >/dev/null || wrong "$need_program is not installed"
    done
}

# a_tag TAG: as the charts take it: a version or a commit, never a name that moves.
a_tag() {
    case $1 in
        '' | latest | main | master | develop | [!A-Za-z0-9]* | *[!A-Za-z0-9._-]* | *[!A-Za-z0-9]) wrong "$1 is no tag of a release" ;;
    esac
    [ "${#1}" -le 63 ] || wrong "$1 is longer than a label may be"
}

# digest_of PROGRAM IMAGES: from the file that join.sh wrote.
digest_of() {
    digest_found=$(sed -n "s/^$1 //p" "$2")
    case $digest_found in
        sha256:*) printf '%s' "$digest_found" ;;
        *) printf '%s: no digest of %s\n' "$2" "$1" >&2; return 1 ;;
    esac
}
