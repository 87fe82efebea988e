"""Build, join, list, scan, sign, verify: what each script asks of its tools, and that a failure of theirs is one of its own."""

import json
import pathlib
import re
import unittest

from stand_ins import DIGEST, PROGRAMS, ROOT, WithStandIns, machine

HERE = ("--registry", "r.example")


class Building(WithStandIns):
    def test_every_program_of_a_release_is_built_from_one_file_with_its_version_and_revision(self):
        self.stand_in("docker")
        self.assert_well(self.run_script("pipeline/build.sh", *HERE, "--tag", "0f3c", REVISION="abc", CREATED="2026-01-01T00:00:00Z"))
        built = self.calls("docker build ")
        self.assertEqual(len(built), len(PROGRAMS))
        for program, call in zip(PROGRAMS, built, strict=True):
            for word in (f"--target {program} ", f"--tag r.example/adplatform/{program}:0f3c-{machine()} ", "VERSION=0f3c", "REVISION=abc"):
                self.assertIn(word, call + " ")

    def test_pushed_images_are_cached_in_the_registry_and_carry_their_provenance(self):
        self.stand_in("docker", when=[("imagetools inspect", 0, DIGEST)])
        self.assert_well(self.run_script("pipeline/build.sh", *HERE, "--tag", "1", "--push", "bidding-service"))
        (call,) = self.calls("docker buildx build")
        for word in ("--push", "--provenance mode=max", f"--platform linux/{machine()}", "--cache-to type=registry"):
            self.assertIn(word, call)

    def test_a_builder_is_made_on_a_context_since_buildx_takes_no_tls_from_the_environment(self):
        self.stand_in("docker", when=[("imagetools inspect", 0, DIGEST), ("buildx inspect", 1, ""), ("context inspect", 1, "")])
        self.assert_well(self.run_script("pipeline/build.sh", *HERE, "--tag", "1", "--push", "bidding-service"))
        context, builder = "docker context create adplatform-daemon", "docker buildx create --name adplatform --driver docker-container adplatform-daemon"
        self.assertLess(self.calls().index(context), self.calls().index(builder))

    def test_what_is_pushed_is_built_on_bases_by_digest_that_its_labels_name(self):
        self.stand_in("docker", when=[("imagetools inspect", 0, DIGEST)])
        self.assert_well(self.run_script("pipeline/build.sh", *HERE, "--tag", "1", "--push", "adplatform", "bidding-service", "postgres"))
        self.assertEqual(len(self.calls("docker buildx imagetools inspect")), 2, "one look for each base")
        for call, argument in zip(self.calls("docker buildx build"), ("RUST_IMAGE", "RUST_IMAGE", "BASE_IMAGE"), strict=True):
            file = ROOT / ("docker/postgres.Dockerfile" if argument == "BASE_IMAGE" else "docker/Dockerfile")
            base = re.search(rf"(?m)^ARG {argument}=(\S+:\d\S*)$", file.read_text(encoding="utf-8"))[1]
            for word in (f"{argument}={base}@{DIGEST}", f"--label org.opencontainers.image.base.name={base}", f"--label org.opencontainers.image.base.digest={DIGEST}"):
                self.assertIn(f" {word} ", call)

    def test_a_base_by_digest_is_not_looked_up_and_one_without_a_digest_is_not_built_on(self):
        self.stand_in("docker", answer="<no value>")
        well = self.run_script("pipeline/build.sh", *HERE, "--tag", "1", "--push", "adplatform", RUST_IMAGE="rust@" + DIGEST)
        self.assert_well(well)
        self.assertEqual(self.calls("docker buildx imagetools"), [])
        for status in (0, 1):
            self.stand_in("docker", status=status, answer="<no value>")
            done = self.run_script("pipeline/build.sh", *HERE, "--tag", "1", "--push", "bidding-service", RUST_IMAGE="rust:1")
            self.assert_wrong(done, "rust:1", status=1)
        self.assertEqual(len(self.calls("docker buildx build")), 1)

    def test_a_build_that_fails_ends_the_release(self):
        self.stand_in("docker", when=[("--target bidding-service", 1, "")])
        done = self.run_script("pipeline/build.sh", *HERE, "--tag", "1")
        self.assert_wrong(done, "bidding-service:1", status=1)
        self.assertEqual(len(self.calls("docker build ")), 2)

    def test_postgres_is_built_from_its_own_file_and_on_its_own_base(self):
        self.stand_in("docker")
        self.assert_well(self.run_script("pipeline/build.sh", *HERE, "--tag", "1", "postgres", POSTGRES_BASE_IMAGE="debian@" + DIGEST))
        (call,) = self.calls("docker build ")
        self.assertIn("--file docker/postgres.Dockerfile", call)
        self.assertIn(f"BASE_IMAGE=debian@{DIGEST}", call)

    def test_what_is_wrong_is_said_before_anything_is_built(self):
        self.stand_in("docker")
        for words, said in (
            (["--tag", "1"], "--registry"),
            ([*HERE, "--tag", "latest"], "latest"),
            ([*HERE, "--tag", "a b"], "a b"),
            ([*HERE, "--tag", "x" * 64], "longer"),
            ([*HERE, "--tag"], "needs a value"),
            ([*HERE, "--tag", "1", "nothing"], "nothing"),
            ([*HERE, "--tag", "1", "--no-such"], "--no-such"),
        ):
            self.assert_wrong(self.run_script("pipeline/build.sh", *words), said)
        self.assertEqual(self.calls(), [])


class Joining(WithStandIns):
    def test_both_architectures_get_one_tag_and_its_digest_is_written_down(self):
        self.stand_in("docker", when=[("imagetools inspect", 0, DIGEST)])
        images = self.folder / "images.txt"
        self.assert_well(self.run_script("pipeline/join.sh", *HERE, "--tag", "1", "--images", str(images)))
        self.assertEqual(images.read_text(encoding="utf-8"), "".join(f"{p} {DIGEST}\n" for p in PROGRAMS))
        name = "r.example/adplatform/bidding-service:1"
        self.assertIn(f"docker buildx imagetools create --tag {name} {name}-amd64 {name}-arm64", self.calls())

    def test_without_one_of_the_architectures_no_digest_is_written(self):
        self.stand_in("docker", when=[("imagetools create --tag r.example/adplatform/adplatform", 1, ""), ("imagetools inspect", 0, DIGEST)])
        images = self.folder / "images.txt"
        self.assert_wrong(self.run_script("pipeline/join.sh", *HERE, "--tag", "1", "--images", str(images)), "adplatform:1", status=1)
        self.assertFalse(images.exists())

    def test_an_answer_that_is_no_digest_is_refused(self):
        self.stand_in("docker", answer="<no value>")
        done = self.run_script("pipeline/join.sh", *HERE, "--tag", "1", "--images", str(self.folder / "i"))
        self.assert_wrong(done, "no digest", status=1)


class Postgres(WithStandIns):
    def setUp(self):
        super().setUp()
        text = (ROOT / "k8s/components/data-plain/postgres/kustomization.yaml").read_text(encoding="utf-8")
        self.tag = re.search(r"newTag: (\S+)", text)[1] + "-2026-11"

    def postgres(self, *words, time="2026-11-30T23:59:59Z"):
        return self.run_script("pipeline/postgres.sh", *words, PIPELINE_TIME=time)

    def test_its_tag_is_its_version_and_the_month_of_the_pipeline(self):
        self.assertEqual(self.postgres("tag").stdout, f"{self.tag}\n")
        self.assertRegex(self.run_script("pipeline/postgres.sh", "tag").stdout, r"^\d+\.\d+\.\d+-20\d\d-\d\d\n$")
        self.assert_wrong(self.postgres("tag", time="yesterday"), "yesterday")

    def test_it_is_built_where_the_registry_has_none_and_from_no_layers_of_before(self):
        name = f"r.example/adplatform/postgres:{self.tag}-{machine()}"
        self.stand_in("docker", when=[("{{.Manifest.Digest}}", 0, DIGEST), (f"imagetools inspect {name}", 1, "")])
        self.assert_well(self.postgres("build", *HERE))
        (call,) = self.calls("docker buildx build")
        for word in (f"--tag {name}", "--push", "--no-cache"):
            self.assertIn(f" {word} ", call)

    def test_one_that_is_there_stays_as_it_is(self):
        self.stand_in("docker")
        self.assert_well(self.postgres("build", *HERE))
        self.assertEqual(self.calls("docker buildx build"), [])

    def test_its_digest_joins_those_of_the_release(self):
        self.stand_in("docker", when=[("imagetools inspect", 0, DIGEST)])
        images = self.images("adplatform sha256:1", "postgres sha256:2")
        self.assert_well(self.postgres("join", *HERE, "--images", images))
        self.assertEqual(pathlib.Path(images).read_text(encoding="utf-8"), f"adplatform sha256:1\npostgres {DIGEST}\n")
        self.assert_wrong(self.postgres("join", *HERE), "--images")


class Vouching(WithStandIns):
    def sboms(self):
        folder = self.folder / "sbom"
        folder.mkdir(exist_ok=True)
        for program in PROGRAMS:
            (folder / f"{program}.spdx.json").write_text("{}", encoding="utf-8")
        return str(folder)

    def test_an_sbom_without_what_must_be_in_it_is_a_failure(self):
        self.stand_in("syft", status=0)
        program = pathlib.Path(self.folder / "bin" / "syft")
        for packages, well in ((["tokio", "libc6"], True), (["tokio"], False), ([], False)):
            bom = json.dumps({"packages": [{"name": name} for name in packages]})
            program.write_text(f"#!/bin/sh\nfor word; do case $word in spdx-json=*) echo '{bom}' >\"${{word#spdx-json=}}\" ;; esac; done\n", encoding="utf-8")
            done = self.run_script("pipeline/sbom.sh", *HERE, "--images", self.images(), "--out", str(self.folder / "out"))
            self.assertEqual(done.returncode == 0, well, done.stderr)

    def test_one_scan_that_fails_fails_the_whole_and_the_others_are_still_told(self):
        self.stand_in("grype", when=[("bidding-service", 1, "CVE")])
        self.assert_wrong(self.run_script("pipeline/scan.sh", self.sboms()), "vulnerability", status=1)
        self.assertEqual(len(self.calls("grype")), len(PROGRAMS))
        self.stand_in("grype")
        self.assert_well(self.run_script("pipeline/scan.sh", self.sboms()))

    def test_nothing_to_scan_is_a_mistake_and_no_success(self):
        self.stand_in("grype")
        self.assert_wrong(self.run_script("pipeline/scan.sh", str(self.folder)), "no SBOM")

    def test_every_image_is_signed_by_digest_and_its_sbom_attested(self):
        self.stand_in("cosign")
        self.assert_well(self.run_script("pipeline/sign.sh", *HERE, "--images", self.images(), "--sboms", self.sboms(), COSIGN_KEY="k"))
        for program in PROGRAMS:
            image = f"r.example/adplatform/{program}@{DIGEST}"
            self.assertIn(f"cosign sign --yes --key k {image}", self.calls())
            self.assertTrue(any(c.startswith("cosign attest") and c.endswith(f"{program}.spdx.json {image}") for c in self.calls()))

    def test_without_anything_to_sign_with_nothing_is_signed(self):
        self.stand_in("cosign")
        self.assert_wrong(self.run_script("pipeline/sign.sh", *HERE, "--images", self.images(), "--sboms", self.sboms()), "sign with")
        self.assertEqual(self.calls(), [])

    def test_one_image_without_our_signature_fails_all(self):
        self.stand_in("cosign", when=[("bidding-service", 1, "")])
        done = self.run_script("pipeline/verify.sh", *HERE, "--images", self.images(), SIGNED_BY="https://g/p//.gitlab-ci.yml@refs/heads/main")
        self.assert_wrong(done, "bidding-service", status=1)
        self.assertIn("--certificate-identity https://g/p//.gitlab-ci.yml@refs/heads/main --certificate-oidc-issuer https://gitlab.com", self.calls()[0])

    def test_a_signature_of_just_anybody_is_not_asked_for(self):
        self.stand_in("cosign")
        self.assert_wrong(self.run_script("pipeline/verify.sh", *HERE, "--images", self.images()), "whose")


class Login(WithStandIns):
    def test_the_password_is_in_the_configuration_alone_and_nobody_else_reads_it(self):
        done = self.run_script("pipeline/login.sh", *HERE, REGISTRY_USER="u", REGISTRY_PASSWORD="p" * 100)
        self.assert_well(done)
        file = self.folder / ".docker" / "config.json"
        self.assertEqual(file.stat().st_mode & 0o077, 0)
        self.assertIn("r.example", json.loads(file.read_text(encoding="utf-8"))["auths"])
        self.assertNotIn("ppp", done.stdout + done.stderr)

    def test_what_is_there_of_other_registries_stays(self):
        (self.folder / ".docker").mkdir()
        file = self.folder / ".docker" / "config.json"
        file.write_text('{"auths": {"other.example": {}}}', encoding="utf-8")
        self.assert_wrong(self.run_script("pipeline/login.sh", *HERE, REGISTRY_USER="u", REGISTRY_PASSWORD="p"), "other registries")
        self.assertIn("other.example", file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
