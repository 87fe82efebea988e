"""What a deployment does in which order, and that everything that fails leaves the services where they were. With stand-ins for
helm and kubectl."""

import json
import os
import pathlib
import re
import time
import unittest

from stand_ins import DIGEST, PROGRAMS, WithStandIns

SERVICES = ("analytics-service", "bidding-service", "campaign-service")
DEPLOYED = json.dumps([{"revision": 1, "status": "superseded"}, {"revision": 2, "status": "failed"}, {"revision": 3, "status": "deployed"}])
NOBODY = "http://127.0.0.1:9"  # the port that discards: nothing listens there


class Deploying(WithStandIns):
    def setUp(self):
        super().setUp()
        self.helm()
        self.kubectl()
        self.stand_in("cosign")
        self.stand_in("curl", answer="200")

    def helm(self, when=(), history=DEPLOYED):
        self.stand_in("helm", when=[*when, ("history", 0, history)])

    def kubectl(self, job="Complete"):
        self.stand_in("kubectl", when=[("kustomize", 0, "{}"), ("get job/", 0, job)])

    def deploy(self, *words, environment="production", watched=("--unwatched",), signed=False, **settings):
        which = ["--images", self.images()] if signed else ["--unsigned"]
        return self.run_script("pipeline/deploy.sh", environment, "--tag", "0f3c", *which, *watched, *words, TIMEOUT="5s",
                               SIGNED_BY="https://g/p//.gitlab-ci.yml@refs/heads/main", **settings)

    def helms(self):
        """What helm was asked to change."""
        return [c.split()[1] + " " + c.split()[3 if "--install" in c else 2] for c in self.calls("helm") if c.split()[1] != "history"]

    def test_readers_are_rolled_out_before_writers_once_the_schema_is_there(self):
        self.assert_well(self.deploy())
        self.assertEqual(self.helms(), [f"upgrade {s}" for s in SERVICES])
        order = self.calls()
        away = next(i for i, c in enumerate(order) if "delete job/migrations-0f3c --ignore-not-found" in c)
        applied = next(i for i, c in enumerate(order) if c.startswith("kubectl") and " apply " in c)
        asked = next(i for i, c in enumerate(order) if "get job/migrations-0f3c" in c)
        rolled = next(i for i, c in enumerate(order) if "upgrade" in c)
        self.assertTrue(away < applied < asked < rolled, "a Job of an earlier try would be refused, or be asked in place of the new one")

    def test_the_seeds_values_and_the_environments_files_are_given(self):
        self.assert_well(self.deploy(environment="staging"))
        for call in self.calls("helm upgrade"):
            for word in ("--set-string image.tag=0f3c", "--values k8s/helm/values-staging.yaml", "--wait", "image.registry=registry.adplatform.com"):
                self.assertIn(word, call)

    def test_another_registry_is_the_migrations_too(self):
        self.kubectl()
        program = self.folder / "bin" / "kubectl"
        shows = 'case "$1" in kustomize) cat "$2/kustomization.yaml"; exit ;; esac\ncase "$*" in *" apply "*) cat >"$(dirname "$0")/../applied" ;; esac'
        program.write_text(program.read_text(encoding="utf-8").replace('case "$*"', f'{shows}\ncase "$*"', 1), encoding="utf-8")
        self.assert_well(self.deploy("--registry", "r.example"))
        self.assertIn("newName: r.example/adplatform/adplatform\n", (self.folder / "applied").read_text(encoding="utf-8"))
        self.assertTrue(all("image.registry=r.example " in c for c in self.calls("helm upgrade")))

    def test_what_was_signed_is_what_is_deployed(self):
        self.assert_well(self.deploy(signed=True))
        self.assertTrue(self.calls()[0].startswith("cosign verify"))
        for call in self.calls("helm upgrade"):
            self.assertIn(f"image.digest={DIGEST}", call)

    def test_an_image_without_our_signature_touches_nothing(self):
        self.stand_in("cosign", status=1)
        self.assert_wrong(self.deploy(signed=True), "signatures", status=1)
        self.assertEqual(self.calls("helm"), [])
        self.assertEqual(self.calls("kubectl"), [])

    def test_a_failed_migration_rolls_nothing_out(self):
        self.kubectl(job="FailureTarget Failed")
        self.assert_wrong(self.deploy(), "migrations-0f3c failed", status=1)
        self.assertEqual(self.helms(), [])
        self.assertTrue(any("logs job/migrations-0f3c" in c for c in self.calls()))

    def test_a_rollout_that_fails_takes_back_what_was_touched_and_no_more(self):
        self.helm(when=[("upgrade --install bidding-service", 1, "")])
        self.assert_wrong(self.deploy(), "rollout of bidding-service", status=1)
        self.assertEqual(self.helms(), ["upgrade analytics-service", "upgrade bidding-service",
                                        "rollback bidding-service", "rollback analytics-service"])
        self.assertTrue(any(c.startswith("helm rollback bidding-service 3 ") for c in self.calls()))

    def test_a_smoke_test_that_fails_takes_everything_back(self):
        self.stand_in("curl", answer="503")
        self.assert_wrong(self.deploy("--smoke", API_URL="https://a.example", BIDDING_URL="https://b.example"), "smoke", status=1)
        self.assertEqual(self.helms()[3:], ["rollback campaign-service", "rollback bidding-service", "rollback analytics-service"])

    def test_a_watch_without_an_answer_takes_everything_back(self):
        blind = self.deploy("--watch", "1", watched=("--prometheus", NOBODY), SLO_FLAGS="--window 1s --interval 0.1")
        self.assert_wrong(blind, "does not hold", status=1)
        self.assertEqual(len([c for c in self.helms() if c.startswith("rollback")]), 3)

    def forwarding_kubectl(self):
        """A forward that stays until it is ended, as kubectl's does."""
        self.kubectl()
        program = self.folder / "bin" / "kubectl"
        stays = f'case "$*" in *port-forward*) echo $$ >>"{self.folder}/forwards"; exec sleep 300 ;; esac'
        program.write_text(program.read_text(encoding="utf-8").replace('case "$*"', f'{stays}\ncase "$*"', 1), encoding="utf-8")

    def forwards(self):
        return [int(line) for line in (self.folder / "forwards").read_text(encoding="utf-8").split()]

    def test_prometheus_is_asked_through_the_cluster_and_the_way_to_it_is_ended(self):
        self.forwarding_kubectl()
        self.assert_wrong(self.deploy("--watch", "1", "--context", "there", watched=(), SLO_FLAGS="--window 1s --interval 0.1"), "does not hold", status=1)
        (forward,) = [c for c in self.calls("kubectl") if "port-forward" in c]
        self.assertRegex(forward, r"^kubectl --context there --namespace monitoring port-forward --address 127.0.0.1 service/prometheus \d+:9090$")
        port = forward.split()[-1].removesuffix(":9090")
        self.assertTrue(any(c.startswith("curl") and f"http://127.0.0.1:{port}/api" in c for c in self.calls()))
        for pid in self.forwards():
            self.assertFalse(self.lives(pid), "kubectl port-forward outlives the deployment")

    @staticmethod
    def lives(pid):
        for _ in range(20):
            status = pathlib.Path(f"/proc/{pid}/stat")
            if not status.exists() or status.read_text(encoding="utf-8").split()[2] == "Z":
                return False
            time.sleep(0.1)
        return True

    def test_a_way_to_prometheus_that_breaks_is_made_again(self):
        self.stand_in("curl", status=7)
        self.assert_wrong(self.deploy(watched=(), PATIENCE="3"), "no Prometheus answers", status=1)
        self.assertGreaterEqual(len([c for c in self.calls("kubectl") if "port-forward" in c]), 2)

    def test_a_prometheus_that_does_not_answer_is_said_before_anything_is_touched(self):
        self.stand_in("curl", status=7)
        for watched, settings in ((("--prometheus", NOBODY), {}), ((), {"PROMETHEUS_URL": NOBODY}), ((), {})):
            self.assert_wrong(self.deploy(watched=watched, PATIENCE="1", **settings), "no Prometheus answers", status=1)
            self.assertEqual([c for c in self.calls("kubectl") if "port-forward" not in c], [])
            self.assertEqual(self.helms(), [])
            if settings or watched:
                self.assertEqual(self.calls("kubectl"), [], "an address that is given is the one that is asked")

    def test_a_canary_that_does_not_turn_ready_is_taken_away_and_nothing_else_was_touched(self):
        self.helm(when=[("upgrade --install bidding-service-canary", 1, "")])
        self.assert_wrong(self.deploy("--strategy", "canary", watched=("--prometheus", NOBODY)), "canary", status=1)
        self.assertEqual(self.helms(), ["upgrade bidding-service-canary", "uninstall bidding-service-canary"])

    def test_a_canary_needs_a_watch_and_a_release_beside_it(self):
        self.assert_wrong(self.deploy("--strategy", "canary"), "watches")
        self.helm(history="[]")
        self.assert_wrong(self.deploy("--strategy", "canary", watched=("--prometheus", NOBODY)), "beside it", status=1)
        self.assertEqual(self.helms(), [])

    def test_a_first_release_that_fails_has_nothing_to_go_back_to(self):
        self.helm(when=[("upgrade --install analytics-service", 1, "")], history="[]")
        done = self.deploy()
        self.assert_wrong(done, "rollout of analytics-service", status=1)
        self.assertIn("left as it is: analytics-service", done.stdout)
        self.assertEqual(self.helms(), ["upgrade analytics-service"])

    def test_an_upgrade_that_a_killed_pipeline_left_hanging_is_taken_back_first(self):
        hanging = json.dumps([{"revision": 3, "status": "deployed"}, {"revision": 4, "status": "pending-upgrade"}])
        self.helm(history=hanging)
        self.assert_well(self.deploy())
        self.assertEqual(self.helms()[:4], [*(f"rollback {s}" for s in SERVICES), "upgrade analytics-service"])

    def test_what_is_wrong_is_said_before_anything_is_done(self):
        self.stand_in("helm")
        for words, said in (
            (["--tag", "1", "--unsigned", "--unwatched"], "ENVIRONMENT"),
            (["production", "--unsigned", "--unwatched"], "no tag"),
            (["production", "--tag", "1", "--unwatched"], "--images"),
            (["production", "--tag", "1", "--unsigned", "--images", "x", "--unwatched"], "together"),
            (["production", "--tag", "1", "--unsigned", "--unwatched", "--smoke"], "API_URL"),
            (["production", "--tag", "1", "--unsigned", "--unwatched", "--watch", "soon"], "soon"),
            (["production", "--tag", "1", "--unsigned", "--unwatched", "--strategy", "hope"], "strategy"),
        ):
            self.assert_wrong(self.run_script("pipeline/deploy.sh", *words), said)
        self.assertEqual(self.calls(), [])


class Rendering(WithStandIns):
    """k8s/release.sh, with kubectl's own kustomize."""

    def images_of(self, *words):
        done = self.run_script("k8s/release.sh", *words, PATH=os.environ["PATH"], PIPELINE_TIME="2026-11-30T00:00:00Z")
        self.assert_well(done)
        return {re.search(r"adplatform/([a-z-]+)[:@]", i)[1]: i for i in re.findall(r"image: (\S*adplatform/\S+)", done.stdout)}

    def test_what_was_signed_is_what_runs_the_database_too_wherever_it_is_our_image(self):
        signed = self.images(*(f"{p} {DIGEST}" for p in (*PROGRAMS, "postgres")))
        for environment, ours in (("staging", True), ("production", False)):
            found = self.images_of(environment, "--tag", "0f3c", "--images", signed)
            self.assertEqual("postgres" in found, ours)
            self.assertEqual({i.split("@")[1] for i in found.values()}, {DIGEST}, environment)
        refused = self.run_script("k8s/release.sh", "staging", "--tag", "0f3c", "--images", self.images(), PATH=os.environ["PATH"])
        self.assert_wrong(refused, "no digest of postgres", status=1)

    def test_by_tag_the_database_has_a_tag_that_the_registry_has(self):
        self.assertRegex(self.images_of("staging", "--tag", "0f3c")["postgres"], r"/postgres:[\d.]+-2026-11$")

    def test_another_registry_is_that_of_every_image(self):
        signed = self.images(*(f"{p} {DIGEST}" for p in (*PROGRAMS, "postgres")))
        for environment in ("local", "staging", "production"):
            for more in ([], ["--images", signed]):
                found = self.images_of(environment, "--tag", "0f3c", "--registry", "r.example:5000", *more)
                self.assertEqual({i.split("/")[0] for i in found.values()}, {"r.example:5000"}, environment)
        self.assertEqual(set(self.images_of("staging", "--tag", "0f3c", "--registry", "r.example", "--shared")), {"adplatform", "postgres"})


class Tool(WithStandIns):
    """k8s/tool.sh, which k8s/restore.md relies on: the image of the Job that it makes."""

    def image(self, service, *migrations, **settings):
        spec = {"containers": [{"name": "analytics-service", "image": service, "env": []}]}
        labels = {"app.kubernetes.io/version": "0f3c"}
        jobs = [{"metadata": {"creationTimestamp": time}, "status": {"succeeded": 1} if well else {"failed": 1},
                 "spec": {"template": {"spec": {"containers": [{"image": image}]}}}} for time, well, image in migrations]
        self.stand_in("kubectl", when=[
            ("get deployment analytics-service", 0, json.dumps({"spec": {"template": {"metadata": {"labels": labels}, "spec": spec}}})),
            ("get jobs --selector app.kubernetes.io/name=migrations", 0, json.dumps({"items": jobs})),
            ("get job adplatform-tool", 0, "Complete"), ("logs job/adplatform-tool", 0, "0 with differences")])
        program, applied = self.folder / "bin" / "kubectl", self.folder / "applied"
        text = program.read_text(encoding="utf-8")
        program.write_text(text.replace('case "$*"', f'case "$*" in *" apply "*) cat >"{applied}" ;; esac\ncase "$*"', 1), encoding="utf-8")
        done = self.run_script("k8s/tool.sh", "restored", "--keep", "/dev/stdout", **settings)
        self.assert_well(done)
        self.assertEqual(done.stdout, "0 with differences", "records alone: restore.md keeps them in a file")
        (container,) = json.loads(applied.read_text(encoding="utf-8"))["spec"]["template"]["spec"]["containers"]
        self.assertEqual(container["args"], ["restored", "--keep", "/dev/stdout"])
        return container["image"]

    def test_it_is_that_of_the_newest_migrations_that_ran_well(self):
        old, new, broken = (f"r.example/adplatform/adplatform@sha256:{c * 64}" for c in "123")
        jobs = (("2026-11-02T00:00:00Z", True, new), ("2026-11-01T00:00:00Z", True, old), ("2026-11-03T00:00:00Z", False, broken))
        self.assertEqual(self.image(f"r.example/adplatform/analytics-service@{DIGEST}", *jobs), new)
        self.assertEqual(self.image("r.example/adplatform/analytics-service:1", *jobs, IMAGE="mine:1"), "mine:1")

    def test_once_their_jobs_are_gone_it_is_the_one_beside_that_of_the_service(self):
        self.assertEqual(self.image(f"r.example:5000/adplatform/analytics-service@{DIGEST}"), "r.example:5000/adplatform/adplatform:0f3c")
        self.assertEqual(self.image("r.example:5000/adplatform/analytics-service:1.2"), "r.example:5000/adplatform/adplatform:1.2")


class GoingBack(WithStandIns):
    def test_by_hand_each_service_goes_to_the_last_release_that_once_was_well(self):
        self.stand_in("helm", when=[("history", 0, DEPLOYED)])
        self.assert_well(self.run_script("pipeline/rollback.sh"))
        self.assertEqual([c.split()[2:4] for c in self.calls("helm rollback")], [[s, "1"] for s in reversed(SERVICES)])

    def test_a_release_that_was_taken_back_is_not_gone_back_to(self):
        history = [(1, "superseded", "Install complete"), (2, "superseded", "Upgrade complete"), (3, "failed", "Upgrade failed"),
                   (4, "superseded", "Rollback to 2"), (5, "superseded", "Upgrade complete"), (6, "deployed", "Rollback to 4")]
        self.stand_in("helm", when=[("history", 0, json.dumps([dict(zip(("revision", "status", "description"), h, strict=True)) for h in history]))])
        self.assert_well(self.run_script("pipeline/rollback.sh"))
        self.assertEqual([c.split()[3] for c in self.calls("helm rollback")], ["1", "1", "1"])

    def test_one_without_a_release_before_is_named_and_the_others_go_back(self):
        self.stand_in("helm", when=[("history bidding-service", 0, "[]"), ("history", 0, DEPLOYED)])
        done = self.run_script("pipeline/rollback.sh")
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED: bidding-service", done.stdout)
        self.assertEqual(len(self.calls("helm rollback")), 2)


class Coverage(WithStandIns):
    def test_the_last_line_is_what_gitlab_reads_and_too_little_is_a_failure(self):
        total = json.dumps({"data": [{"totals": {"lines": {"percent": 81.26}}}]})
        self.stand_in("cargo")
        program = self.folder / "bin" / "cargo"
        program.write_text(f"#!/bin/sh\nfor word; do case $word in /*) echo '{total}' >\"$word\" ;; esac; done\n", encoding="utf-8")
        done = self.run_script("pipeline/coverage.sh", "--least", "80")
        self.assert_well(done)
        self.assertRegex(done.stdout, r"(?m)^TOTAL\s+(\d+(?:\.\d+)?)%$")
        self.assertEqual(self.run_script("pipeline/coverage.sh", "--least", "82").returncode, 1)


if __name__ == "__main__":
    unittest.main()
