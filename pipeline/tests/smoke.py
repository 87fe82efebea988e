"""pipeline/smoke.sh on the platform itself: that it is content with it, and with nothing else.

    smoke.py PROGRAMS      the folder of the built programs"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from burning import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(sys.argv.pop(1)).resolve()
KEY = "an-administrator-of-the-smoke-test"


class Smoke(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        ports = {name: free_port() for name in ("campaign", "bidding", "analytics", "metrics")}
        cls.api, cls.bidding = (f"http://127.0.0.1:{ports[name]}" for name in ("campaign", "bidding"))
        addresses = [word for name, port in ports.items() for word in (f"--{name}-addr", f"127.0.0.1:{port}")]
        cls.log = open(f"{folder.name}/log", "w+", encoding="utf-8")
        cls.addClassCleanup(cls.log.close)
        cls.platform = subprocess.Popen(
            [PROGRAMS / "adplatform", "dev", *addresses], stdout=cls.log, stderr=cls.log, env=os.environ | {"DATA_DIR": folder.name, "ADMIN_API_KEY": KEY})
        cls.addClassCleanup(cls.platform.wait)
        cls.addClassCleanup(cls.platform.send_signal, signal.SIGKILL)
        end = time.monotonic() + 60
        while not cls.ready():
            if time.monotonic() > end or cls.platform.poll() is not None:
                cls.log.seek(0)
                raise AssertionError("the platform does not turn ready: " + cls.log.read()[-2000:])
            time.sleep(0.1)

    @classmethod
    def ready(cls):
        try:
            return all(urllib.request.urlopen(f"{url}/ready", timeout=2).status == 200 for url in (cls.api, cls.bidding))
        except OSError:
            return False

    def smoke(self, api=None, bidding=None, **settings):
        return subprocess.run([ROOT / "pipeline/smoke.sh", "--api", api or self.api, "--bidding", bidding or self.bidding],
                              capture_output=True, text=True, check=False, timeout=120, env={"PATH": os.environ["PATH"]} | settings)

    def test_it_is_content_with_the_platform(self):
        done = self.smoke(SMOKE_API_KEY=KEY, SMOKE_EXCHANGE_SECRET="of no meaning to an exchange that knows none")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("ok: "), 7)

    def test_without_secrets_it_asks_what_needs_none(self):
        done = self.smoke()
        self.assertEqual((done.returncode, done.stdout.count("ok: ")), (0, 4), done.stdout + done.stderr)

    def test_a_key_that_is_not_known_is_a_failure(self):
        done = self.smoke(SMOKE_API_KEY="adp_nobody_nothing")
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED: campaigns are listed: 401", done.stdout)

    def test_two_services_mixed_up_are_a_failure(self):
        self.assertEqual(self.smoke(bidding=self.api).returncode, 1)

    def test_nobody_there_is_a_failure(self):
        done = self.smoke(api=f"http://127.0.0.1:{free_port()}")
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED: the API wants a key", done.stdout)

    def test_no_secret_stands_in_what_it_says(self):
        done = self.smoke(SMOKE_API_KEY=KEY)
        self.assertNotIn(KEY, json.dumps([done.stdout, done.stderr]))


if __name__ == "__main__":
    unittest.main()
