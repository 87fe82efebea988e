""".gitlab-ci.yml: the stages, that its scripts are scripts of the tree, which branch runs what, and that nothing in it dangles.

GitLab's own schema is asked by check.sh; this knows our names."""

import re
import subprocess
import unittest

import yaml
from stand_ins import ROOT

KEYWORDS = {"stages", "variables", "workflow", "default", "include"}
BRANCHES = {"main": {"CI_COMMIT_BRANCH": "main"}, "develop": {"CI_COMMIT_BRANCH": "develop"}, "merge request": {"CI_PIPELINE_SOURCE": "merge_request_event"}}


def merged(base, own):
    if isinstance(base, dict) and isinstance(own, dict):
        return {key: merged(base[key], own[key]) if key in base and key in own else (own if key in own else base)[key] for key in base | own}
    return own


class PipelineFile(unittest.TestCase):
    def setUp(self):
        self.file = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text(encoding="utf-8"))
        every = {name: job for name, job in self.file.items() if name not in KEYWORDS}
        self.jobs = {name: self.whole(every, name) for name in every if not name.startswith(".")}

    def whole(self, every, name):
        job = every[name]
        return merged(self.whole(every, job["extends"]), job) if "extends" in job else job

    def lines(self):
        for name, job in self.jobs.items():
            for line in job.get("before_script", []) + job["script"]:
                yield name, line

    def runs(self, rules, branch):
        """The `when` of the first rule that fits: our rules compare one variable with a word or with the default branch."""
        known = self.known(branch)
        for rule in rules if rules is not None else [{}]:
            condition = rule.get("if")
            if condition is None or self.holds(condition, known):
                return rule.get("when", "on_success")
        return None

    @staticmethod
    def known(branch):
        return {"CI_DEFAULT_BRANCH": "main", **BRANCHES[branch]}

    def holds(self, condition, known):
        if re.fullmatch(r"\$\w+", condition):
            return condition[1:] in known
        left, right = re.fullmatch(r'\$(\w+) == (\$\w+|"[^"]*")', condition).groups()
        return known.get(left) == (known.get(right[1:]) if right[0] == "$" else right.strip('"'))

    def on(self, branch):
        return {name: when for name, job in self.jobs.items() if (when := self.runs(job.get("rules"), branch))}

    def test_the_four_stages_of_the_seed(self):
        self.assertEqual(self.file["stages"], ["test", "build", "deploy-staging", "deploy-production"])
        self.assertEqual({job["stage"] for job in self.jobs.values()}, set(self.file["stages"]))

    def test_every_line_is_a_script_of_the_tree_that_says_how_it_is_called(self):
        tracked = set(subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n"))
        for name, job in self.jobs.items():
            self.assertLessEqual({key for key in job if "script" in key}, {"script", "before_script"}, name)
        for name, line in self.lines():
            program = line.split()[0]
            with self.subTest(job=name, program=program):
                self.assertNotRegex(line, r"[;&|<>`\n]|\$\(", "more than a call of one script")
                self.assertIn(program, tracked)
                path = ROOT / program
                self.assertTrue(path.is_file() and path.stat().st_mode & 0o111, program)
                options = [word for word in line.split() if word.startswith("--")]
                text = path.read_text(encoding="utf-8")
                self.assertEqual([o for o in options if f"{o})" not in text], [], "an option that the script does not know")

    def test_no_variable_dangles(self):
        given = set(self.file["variables"]) | {"SIGSTORE_ID_TOKEN"}
        for name, job in self.jobs.items():
            own = given | set(job.get("variables", {})) | {key for row in job.get("parallel", {}).get("matrix", []) for key in row}
            texts = [*job["script"], *job.get("before_script", []), *job.get("tags", []), *map(str, job.get("variables", {}).values())]
            used = {word for text in texts for word in re.findall(r"\$\{?(\w+)", text)}
            self.assertEqual({u for u in used if not u.startswith("CI_")} - own, set(), name)

    def test_what_a_job_needs_is_there_whenever_the_job_is(self):
        for branch in BRANCHES:
            there = self.on(branch)
            for name in there:
                self.assertEqual([n for n in self.jobs[name].get("needs", []) if n not in there], [], f"{name} on {branch}")

    def test_nothing_is_deployed_without_tests_images_and_signatures(self):
        for name in ("deploy-staging", "deploy-production"):
            self.assertLessEqual({"everything", "manifests", "cluster", "advisories", "joined", "vouched"}, set(self.jobs[name]["needs"]))
            self.assertIn("--images", " ".join(self.jobs[name]["script"]))
            self.assertNotIn("--uns", " ".join(self.jobs[name]["script"]))

    def test_what_only_a_cluster_says_is_asked_before_every_deployment(self):
        self.assertEqual(self.jobs["cluster"]["script"], ["k8s/try.sh", "pipeline/try.sh"])
        for branch in ("main", "develop"):
            fits = next(r for r in self.jobs["cluster"]["rules"] if self.holds(r.get("if", "$CI_COMMIT_BRANCH"), self.known(branch)))
            self.assertNotIn("changes", fits, f"{branch}: a rule may leave it out")

    def test_develop_goes_to_staging_by_itself_and_main_to_production_by_hand(self):
        self.assertEqual(self.on("develop").get("deploy-staging"), "on_success")
        self.assertNotIn("deploy-production", self.on("develop"))
        self.assertEqual(self.on("main").get("deploy-production"), "manual")
        self.assertNotIn("deploy-staging", self.on("main"))

    def test_a_merge_request_is_tested_and_neither_pushed_nor_deployed(self):
        self.assertEqual({self.jobs[name]["stage"] for name in self.on("merge request")}, {"test"})

    def test_one_deployment_of_an_environment_at_a_time_and_none_is_cut_short(self):
        for name, job in self.jobs.items():
            if "environment" in job:
                self.assertEqual((job["resource_group"], job["interruptible"]), (job["environment"]["name"], False), name)

    def test_both_architectures_are_built_on_their_own_machines(self):
        self.assertEqual(self.jobs["images"]["parallel"]["matrix"], [{"RUNNER": ["linux-amd64", "linux-arm64"]}])

    def test_images_are_pinned(self):
        for name, job in self.jobs.items():
            self.assertRegex(job["image"], r"^[a-z]+:\d+\.\d+", name)

    def test_the_database_image_is_there_wherever_a_release_is_and_is_vouched_for_as_one(self):
        for branch in BRANCHES:
            self.assertEqual("postgres-image" in self.on(branch), "images" in self.on(branch), branch)
        self.assertIn("postgres-image", self.jobs["joined"]["needs"])
        join, postgres = self.jobs["joined"]["script"]
        self.assertTrue(postgres.startswith("pipeline/postgres.sh join "))
        self.assertEqual(join.split("--images")[1], postgres.split("--images")[1], "one list is scanned, signed and deployed")

    def rendered(self, folder):
        done = subprocess.run(["kubectl", "kustomize", str(ROOT / folder)], capture_output=True, text=True, check=True)
        return list(yaml.safe_load_all(done.stdout))

    def test_hosts_are_those_of_the_overlays(self):
        """Every host but the registry's has a route and a certificate in the overlay of the job's environment."""
        for name, job in self.jobs.items():
            named = set(re.findall(r"[a-z0-9][a-z0-9.-]*\.adplatform\.com", yaml.safe_dump(job)))
            overlay = job.get("environment", {}).get("name")
            hosts, certified = set(), set()
            for it in self.rendered(f"k8s/overlays/{overlay}") if overlay else ():
                hosts |= set(it["spec"]["hostnames"]) if it["kind"] == "HTTPRoute" else set()
                certified |= set(it["spec"]["dnsNames"]) if it["kind"] == "Certificate" else set()
            self.assertLessEqual(named, hosts & certified, name)
            for variable in ("API_URL", "BIDDING_URL") if name.startswith("deploy-") else ():
                self.assertIn(job["variables"][variable].removeprefix("https://"), hosts)
        elsewhere = {key: value for key, value in self.file["variables"].items() if ".adplatform.com" in value}
        self.assertEqual(set(elsewhere), {"DOCKER_REGISTRY"})

    def test_the_prometheus_that_a_deployment_asks_is_the_one_of_monitoring(self):
        text = (ROOT / "pipeline/deploy.sh").read_text(encoding="utf-8")
        namespace, service, port = re.search(r'--namespace (\w+) port-forward[^\n]*\n\s+service/(\w+) "\$1:(\d+)"', text).groups()
        ports = [p["port"] for it in self.rendered("k8s/monitoring") if it["kind"] == "Service"
                 and (it["metadata"]["namespace"], it["metadata"]["name"]) == (namespace, service) for p in it["spec"]["ports"]]
        self.assertEqual(ports, [int(port)])


if __name__ == "__main__":
    unittest.main()
