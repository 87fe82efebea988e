#!/usr/bin/env python3
"""Writes an image of one layer as `docker save` would, without Docker.

    image.py OUT.tar ROOT NAME[,NAME...] [CONFIG]     ROOT is a folder; CONFIG is the "config" object of an image, as JSON

Owners of files are those in ROOT. The same content gives the same image.
"""

import hashlib
import io
import json
import os
import pathlib
import platform
import subprocess
import sys
import tarfile
import tempfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def entry(name, size):
    """The head of one file in a tar archive."""
    head = tarfile.TarInfo(name)
    head.size = size
    return head


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    out, root, names = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        layer = pathlib.Path(work) / "layer.tar"
        # GNU tar keeps what Python's is slow at: a whole system has tens of thousands of files.
        subprocess.run(["tar", "--create", "--file", layer, "--directory", root, "--numeric-owner", "--sort=name", "--mtime=@0", "."], check=True)
        with layer.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        config = json.dumps({
            "architecture": ARCHITECTURES[platform.machine()], "os": "linux", "config": json.loads(sys.argv[4]) if len(sys.argv) == 5 else {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }).encode()
        identity = hashlib.sha256(config).hexdigest()
        manifest = json.dumps([{"Config": f"{identity}.json", "RepoTags": names, "Layers": [f"{digest}.tar"]}]).encode()
        part = pathlib.Path(work) / "image.tar"
        with tarfile.open(part, "w") as archive:
            archive.addfile(entry("manifest.json", len(manifest)), io.BytesIO(manifest))
            archive.addfile(entry(f"{identity}.json", len(config)), io.BytesIO(config))
            with layer.open("rb") as opened:
                archive.addfile(entry(f"{digest}.tar", os.path.getsize(layer)), opened)
        part.replace(out)


if __name__ == "__main__":
    main()
