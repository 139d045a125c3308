"""Where a result comes from: code, inputs and versions."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import yaml

from leanet.core import paths
from leanet.core.files import sha256
from leanet.images.imageset import ImageSet
from leanet.run import pipeline


def provenance(dataset: str, data: ImageSet) -> dict:
    """Where a detector comes from: commit, hashes of its inputs as in dvc.lock, images, versions.

    The commit is the last that changed the code which stage package depends on: a later one, of results, say,
    gives the same detector.
    """
    code = [path.as_posix() for path in pipeline.find("package", []).deps if path.parts[0] in ("leanet", "stages")]
    inputs = (paths.raw(dataset), paths.split(dataset), paths.unet(dataset), paths.maps(dataset))
    return {
        "git_commit": git("log", "-1", "--format=%H", "--", *code),
        "git_dirty": bool(git("status", "--porcelain", "--", *code)),
        "dvc_lock": {path.as_posix(): digest for path, digest in _locked(inputs).items()},
        "images": {
            "manifest_sha256": sha256(paths.split(dataset) / "manifest.csv"),
            "positives": int(data.labels.sum()),
            "negatives": int((data.labels == 0).sum()),
        },
        "versions": {"python": sys.version.split()[0]}
        | {name: metadata.version(name) for name in ("torch", "torchvision", "numpy", "pillow")},
    }


def _locked(outs: tuple[Path, ...]) -> dict[Path, str]:
    """What dvc.lock says of outputs; what it does not know is left out."""
    lock = Path("dvc.lock")
    stages = yaml.safe_load(lock.read_text())["stages"] if lock.exists() else {}
    outputs = {Path(out["path"]): out["md5"] for each in stages.values() for out in each.get("outs", [])}
    return {path: outputs[path] for path in outs if path in outputs}


def git(*command: str) -> str:
    """What git says; empty where it refuses, outside a repository, say."""
    return subprocess.run(["git", *command], capture_output=True, text=True).stdout.strip()
