# shellcheck shell=bash
# What is asked of the platform on a node; each function is one check of k8s/node/try.sh, with a line "ok" or "FAILED" each.
# Sourced after docker/try/checks.sh and node.sh, with kubectl in namespace ad-platform.
SERVICES=(campaign-service bidding-service analytics-service)
export EXCHANGE_SECRET=the-demo-exchange-of-compose # docker/compose/exchange.py registers it

host_of() { echo "$1.ad-platform.svc.cluster.local"; }
admin_key() { kubectl get secret ad-platform-secret --output 'go-template={{index .data "admin-api-key" | base64decode}}'; }
superuser() { kubectl exec postgres-0 -- psql --host /run/postgresql --username postgres --quiet --no-psqlrc "$@"; }
phase_of() { kubectl get pod "$1" --output 'jsonpath={.status.phase}'; }
is_ready() { [ "$(kubectl get pod "$1" --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
waits_because() { kubectl get pod "$1" --output 'jsonpath={.status.containerStatuses[0].state.waiting}' | grep "$2"; }
# log_says POD WORDS [OPTION...]
log_says() { kubectl logs "$1" "${@:3}" 2>/dev/null | grep "$2"; }

# variant OF POD SETTING=VALUE...: see variant.py.
variant() {
    local of=$1
    shift
    kubectl get "$of" --output json | python3 k8s/node/variant.py "$@" | kubectl apply -f - >/dev/null
}
forget() { kubectl delete pod --now --ignore-not-found "$@" >/dev/null; }

# show_log POD WORDS [OPTION...]: the line that says why.
show_log() { log_says "$@" | tail -1 | cut -c1-400 | sed 's/^/   /' || true; }

# ---- the platform does what it is for

policies_are_there() {
    holds "network policies are there, $(kubectl get networkpolicy --output name | wc -l) of them; this node enforces none" \
        test "$(kubectl get networkpolicy default-deny --output name 2>/dev/null)"
}

# An advertiser, campaigns and creatives by the API; bids, notices, and the report that agrees to the nano.
exchange_trades() {
    ADMIN_API_KEY=$(admin_key) API_URL="http://$(host_of campaign-service)" BIDDING_URL="http://$(host_of bidding-service)" \
        DEMO_SECONDS=${1:-20} DEMO_RATE=20 python3 docker/compose/exchange.py | sed 's/^/   /'
}
trades() {
    local begin=$SECONDS
    holds "an exchange trades through the Services, and report and notices agree" exchange_trades 20
    echo "   $((SECONDS - begin)) s"
}

port_forward_answers() {
    local log="$NODE_DIR/log/port-forward.log" pid status=0
    kubectl port-forward service/campaign-service :80 >"$log" 2>&1 &
    pid=$!
    within 10 "port-forward listens" grep -q Forwarding "$log" &&
        curl -fsS "http://$(grep -o '127.0.0.1:[0-9]*' "$log" | head -1)/health/ready" >/dev/null || status=1
    kill "$pid"
    wait "$pid" 2>/dev/null || true
    return "$status"
}
answers_by_port_forward() { holds "campaign-service answers through kubectl port-forward" port_forward_answers; }

# ---- what is wrong is named, and does not turn ready

missing_secret() {
    variant deployment/bidding-service try-missing-secret NOTICE_SECRET=secret:nobody-made-it/notice-secret
    within 30 "the pod says which secret" waits_because try-missing-secret 'secret \\"nobody-made-it\\" not found' &&
        ! is_ready try-missing-secret
}
missing_secret_is_named() {
    holds "a missing secret: the pod's status names it, and the pod does not start" missing_secret
    waits_because try-missing-secret . | sed 's/^/   /' || true
    forget try-missing-secret
}

empty_secret() {
    variant deployment/bidding-service try-empty-secret NOTICE_SECRET=
    within 30 "the log names the setting" log_says try-empty-secret NOTICE_SECRET && ! is_ready try-empty-secret &&
        [ "$(kubectl logs try-empty-secret | wc -l)" -eq 1 ] # a line of the log for each mistake
}
empty_secret_is_named() {
    holds "an empty secret: one line names the setting, and the process ends" empty_secret
    show_log try-empty-secret NOTICE_SECRET
    forget try-empty-secret
}

wrong_host() {
    variant deployment/campaign-service try-wrong-host DATABASE_URL=postgres://adplatform:x@nowhere.ad-platform.svc.cluster.local/adplatform
    within 60 "the log says why" log_says try-wrong-host 'database.*failed to lookup address' && stays_unready try-wrong-host 15
}
# stays_unready POD SECONDS: asked all the time, and the pod is still there.
stays_unready() {
    local deadline=$((SECONDS + $2))
    while [ "$SECONDS" -lt "$deadline" ]; do
        ! is_ready "$1" || return 1
        sleep 1
    done
    kubectl get pod "$1" >/dev/null
}
wrong_host_is_named() {
    holds "a wrong database host: the log says so, and the pod does not turn ready" wrong_host
    show_log try-wrong-host 'database.*failed to lookup address'
    forget try-wrong-host
}

# A database in which somebody else made a table of ours: no migration can go on, and what waits for one does not turn ready.
break_a_database() {
    local table
    table=$(sed -n 's/^CREATE TABLE \([a-z_]*\).*/\1/p' crates/storage-postgres/migrations/0001_*.sql | head -1)
    superuser --dbname postgres --command 'DROP DATABASE IF EXISTS broken WITH (FORCE)' --command 'CREATE DATABASE broken OWNER adplatform' &&
        superuser --dbname broken --command "SET ROLE adplatform; CREATE TABLE $table (number int)"
}
mend_the_database() { superuser --dbname postgres --command 'DROP DATABASE IF EXISTS broken WITH (FORCE)' || true; }
failed_migration() {
    local url
    url=$(kubectl get secret database-secret --output 'go-template={{.data.url | base64decode}}')
    break_a_database || return 1
    variant job/migrations-0-1-0 try-migration "DATABASE_URL=${url%/*}/broken" --args migrate --patience=10s
    variant deployment/campaign-service try-unmigrated "DATABASE_URL=${url%/*}/broken"
    within 60 "the migration fails" test_phase try-migration Failed && log_says try-migration "relation.*already exists" --container migrate >/dev/null &&
        within 30 "the service says what it waits for" log_says try-unmigrated "waits_for.*migration" && stays_unready try-unmigrated 15
}
test_phase() { [ "$(phase_of "$1")" = "$2" ]; }
failed_migration_is_named() {
    holds "a failed migration: its log says why, and a service on that database does not turn ready" failed_migration
    show_log try-migration "already exists" --container migrate
    show_log try-unmigrated "waits_for.*migration"
    forget try-migration try-unmigrated
    mend_the_database
}

# A table made, then dropped: restored to an instant between, it is there, and the platform goes on.
restore_to_before() {
    local instant
    within 120 "a base backup" backup_is_there || return 1
    superuser --dbname adplatform --command 'CREATE TABLE kept (number int)' || return 1
    instant=$(superuser --dbname adplatform --tuples-only --no-align --command 'SELECT clock_timestamp()') || return 1
    superuser --dbname adplatform --command 'DROP TABLE kept' || return 1
    k8s/restore-postgres.sh "$instant" | sed 's/^/   /' || return 1
    superuser --dbname adplatform --command 'DROP TABLE kept'
}
backup_is_there() { kubectl logs postgres-archive-0 --container base | grep -q verified; }
database_is_restored() {
    local begin=$SECONDS
    holds "the database is restored to an instant by k8s/restore-postgres.sh" restore_to_before
    echo "   after $((SECONDS - begin)) s"
    holds "the services are ready" rolled_out "${SERVICES[@]/#/deployment/}"
}

# ---- under a trickle of bid requests

# trickle_during COMMAND...: the command's status; what became of the requests goes to the file trickle.
trickle_during() {
    local pid status=0
    python3 k8s/node/trickle.py "$(host_of bidding-service)" 20 >"$NODE_DIR/trickle" &
    pid=$!
    "$@" || status=1
    kill "$pid"
    wait "$pid" || status=1
    sed 's/^/   /' "$NODE_DIR/trickle"
    return "$status"
}
# trickled FIGURE: of the last trickle.
trickled() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$NODE_DIR/trickle" "$1"; }
nothing_lost() { [ "$(trickled lost)" -eq 0 ] && [ "$(trickled bids)" -gt 0 ]; }

ready_bidders() { kubectl get deployment bidding-service --output 'jsonpath={.status.readyReplicas}'; }
roll_out_what_is_broken() {
    local old
    old=$(kubectl get pods --selector app=bidding-service --output name | sort)
    kubectl set env deployment/bidding-service NOTICE_SECRET=short >/dev/null
    ! kubectl rollout status --timeout 120s deployment/bidding-service >"$NODE_DIR/log/rollout.log" 2>&1 || return 1
    tail -1 "$NODE_DIR/log/rollout.log" | sed 's/^/   /'
    [ "$(ready_bidders)" -eq 2 ] && kubectl get $old >/dev/null || return 1 # the same pods as before
    # For a moment after the undo the deployment still says that its deadline has passed.
    kubectl rollout undo deployment/bidding-service >/dev/null && within 120 "what was before is served" rolled_out deployment/bidding-service
}
broken_rollout_stops() {
    holds "a rollout to a broken version stops, the old pods keep serving, and it is undone" trickle_during roll_out_what_is_broken
    holds "no request is lost meanwhile" nothing_lost
}

first_bidder() { kubectl get pods --selector app=bidding-service --output 'jsonpath={.items[0].metadata.name}'; }
are_ready() { kubectl get pods --selector "app=$1" --output 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}' | grep -o True | wc -l; }
two_are_ready() { [ "$(are_ready bidding-service)" -eq 2 ]; }
kill_a_bidder() {
    sleep 3 # requests are on their way
    kubectl delete pod --force --grace-period 0 "$(first_bidder)" >/dev/null 2>&1
    within 60 "another takes its place" two_are_ready
}
# What was in flight, and what came before the Service knew, is lost: a second at most.
few_lost() { [ "$(trickled lost)" -le 40 ] && [ "$(trickled bids)" -gt 0 ]; }
killed_pod_is_replaced() {
    local begin=$SECONDS
    holds "a bidder killed without a warning is replaced" trickle_during kill_a_bidder
    echo "   after $((SECONDS - begin)) s"
    holds "few requests are lost meanwhile" few_lost
}

kill_the_stores() {
    kubectl delete pod --force --grace-period 0 postgres-0 kafka-0 redis-cluster-0 >/dev/null 2>&1
    rolled_out statefulset/postgres statefulset/kafka statefulset/redis-cluster "${SERVICES[@]/#/deployment/}"
}
killed_stores_come_back() {
    local begin=$SECONDS
    holds "PostgreSQL, Kafka and a master of Redis, killed at once, come back" kill_the_stores
    echo "   after $((SECONDS - begin)) s"
    holds "an exchange trades after that" exchange_trades 15
}

restart_the_bidders() { kubectl rollout restart deployment/bidding-service >/dev/null && rolled_out deployment/bidding-service; }
# The pods of before are still ending when the rollout is done.
restart_and_wait() { restart_the_bidders && within 60 "the old bidders end" two_bidders; }
two_bidders() { [ "$(kubectl get pods --selector app=bidding-service --output name | wc -l)" -eq 2 ]; }
restart_loses_nothing() {
    holds "the bidders are restarted" trickle_during restart_and_wait
    holds "no request is lost meanwhile" nothing_lost
}

# ---- what the runbooks say

has_restarted() { [ "$(kubectl get pod "$1" --output 'jsonpath={.status.containerStatuses[0].restartCount}')" -gt 0 ]; }
# say_nonsense: to the topic of campaigns.
say_nonsense() {
    echo 'nonsense={' | kubectl exec --stdin kafka-0 -- java -cp '/opt/kafka/libs/*' org.apache.kafka.tools.ConsoleProducer \
        --bootstrap-server kafka-service:9092 --topic campaigns --property parse.key=true --property key.separator== >/dev/null 2>&1
}
# All that a command of a runbook is asked of. Nobody measures here: the autoscaler keeps to its bounds alone. Each step asks for the one
# before: where it is asked whether all of it worked, `set -e` ends nothing.
bring_about_alerts() {
    local url
    url=$(kubectl get secret database-secret --output 'go-template={{.data.url | base64decode}}') &&
        break_a_database &&
        variant deployment/bidding-service try-empty-secret NOTICE_SECRET= &&
        variant job/migrations-0-1-0 try-migration "DATABASE_URL=${url%/*}/broken" --args migrate --patience=10s &&
        variant deployment/campaign-service try-unmigrated "DATABASE_URL=${url%/*}/broken" &&
        say_nonsense &&
        apply_definitions cert-manager &&
        kubectl apply -f k8s/node/runbooks.yaml >/dev/null &&
        kubectl apply -k k8s/monitoring/traces >/dev/null &&
        kubectl rollout restart deployment/bidding-service >/dev/null && # for `undo` to undo
        rolled_out deployment/bidding-service || return 1
    within 60 "a migration fails" test_phase try-migration Failed && within 120 "a pod restarts" has_restarted try-empty-secret
}
runbooks_work() {
    local begin=$SECONDS
    holds "what the runbooks are for is brought about" bring_about_alerts
    holds "every command of the runbooks works" python3 k8s/node/runbooks.py
    echo "   $((SECONDS - begin)) s"
    forget try-empty-secret try-migration try-unmigrated
    kubectl delete -f k8s/node/runbooks.yaml >/dev/null
    mend_the_database
}

# stay: for a look around; asked for by name alone.
stay() {
    echo "the platform stays until this is interrupted: nsenter --all --target \$(pgrep --full k8s/node/inside.sh | tail -1); KUBECONFIG=$KUBECONFIG"
    sleep infinity
}
