"""Programs that only write down how they were called, and answer what a test tells them to."""

import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGEST = "sha256:" + "a" * 64
PROGRAMS = ("campaign-service", "bidding-service", "analytics-service", "adplatform")


class WithStandIns(unittest.TestCase):
    """A PATH that has the system's own tools and the stand-ins."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.calls_file = self.folder / "calls"
        self.calls_file.touch()
        (self.folder / "bin").mkdir()

    def stand_in(self, name, answer="", status=0, when=()):
        """`when`: (words, status, answer): where the call has the words. The first that fits holds."""
        lines = ["#!/bin/sh", f'printf "%s\\n" "{name} $*" >>"{self.calls_file}"', 'case "$*" in']
        for number, (words, status_then, answer_then) in enumerate((*when, ("", status, answer))):
            said = self.folder / f"{name}-{number}"
            said.write_text(answer_then, encoding="utf-8")
            lines.append(f'    *"{words}"*) cat "{said}"; exit {status_then} ;;')
        program = self.folder / "bin" / name
        program.write_text("\n".join([*lines, "esac", ""]), encoding="utf-8")
        program.chmod(0o755)

    def images(self, *lines):
        file = self.folder / "images.txt"
        file.write_text("".join(f"{line}\n" for line in lines or [f"{p} {DIGEST}" for p in PROGRAMS]), encoding="utf-8")
        return str(file)

    def run_script(self, script, *words, **settings):
        environment = {"PATH": f"{self.folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            [str(ROOT / script), *words], capture_output=True, text=True, check=False, timeout=120, env=environment | settings
        )

    def calls(self, program=""):
        return [line for line in self.calls_file.read_text(encoding="utf-8").splitlines() if line.startswith(program)]

    def assert_well(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def assert_wrong(self, done, word, status=64):
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertIn(word, done.stderr)


def machine():
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
