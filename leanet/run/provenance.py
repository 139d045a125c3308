"""Where a result comes from: code, inputs and versions."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from leanet.core import paths
from leanet.core.files import sha256
from leanet.images.imageset import ImageSet
from leanet.run import lock, pipeline


def provenance(dataset: str, data: ImageSet) -> dict:
    """Where a detector comes from: commit, hashes of its inputs as in dvc.lock, images, versions.

    The commit is the last that changed the code which stage package depends on: a later one, of results, say,
    gives the same detector.
    """
    code = [path.as_posix() for path in pipeline.find("package", []).deps if path.parts[0] in ("leanet", "stages")]
    inputs = (paths.raw(dataset), paths.split(dataset), paths.unet(dataset), paths.maps(dataset))
    outs = {path: md5 for entry in lock.here().values() for path, md5 in lock.hashes(entry, "outs").items()}
    return {
        "git_commit": git("log", "-1", "--format=%H", "--", *code),
        "git_dirty": bool(git("status", "--porcelain", "--", *code)),
        "dvc_lock": {path: outs[path] for path in map(Path.as_posix, inputs) if path in outs},
        "images": {
            "manifest_sha256": sha256(paths.split(dataset) / "manifest.csv"),
            "positives": int(data.labels.sum()),
            "negatives": int((data.labels == 0).sum()),
        },
        "versions": {"python": sys.version.split()[0]}
        | {name: metadata.version(name) for name in ("torch", "torchvision", "numpy", "pillow")},
    }


def git(*command: str) -> str:
    """What git says; empty where it refuses, outside a repository, say."""
    return subprocess.run(["git", *command], capture_output=True, text=True).stdout.strip()
