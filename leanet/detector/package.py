"""Making a detector of a cross-validated row: its fold models, and what they say of images they never saw."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
import yaml

from leanet import paths
from leanet.color import from_bytes
from leanet.data.imageset import ImageSet, sha256
from leanet.detector.calibration import Calibration
from leanet.detector.detector import BATCH, Detector
from leanet.detector.drift import STATISTICS, describe
from leanet.detector.ensemble import Member
from leanet.params import Params
from leanet.progress import Progress

GALLERY = 200  # images of each class to find the nearest among, at most


def assemble(
    row: str,
    point: int,
    weights: list[dict[str, dict[str, np.ndarray]]],
    data: ImageSet,
    params: Params,
    device: torch.device,
    facts: dict,
) -> Detector:
    """A detector of one member a fold of the first repeat.

    weights: of each fold, by names in the network, those of its colouriser ("unet") and of its row ("network").
    facts: what else the detector is to say of itself.
    """
    members = []
    for parts in weights:
        with torch.device("meta"):
            member = Member(
                row, side=data.side, point=point, recipe=params.recipe, map_scale=params.train_leanet.map_scale
            )
        for name, arrays in parts.items():
            state = {key: torch.from_numpy(array) for key, array in arrays.items()}
            member.get_submodule(name).load_state_dict(state, assign=True)
        members.append(member.to(device).eval().requires_grad_(False))
    margins, statistics = _out_of_fold(members, data, device)
    known = {
        "margins": margins,
        "labels": data.labels.astype(np.uint8),
        "folds": data.first_tested_in.astype(np.int16),
        "statistics": statistics,
    }
    calibration = Calibration.fit(margins, data.labels)
    facts = {
        "row": row,
        "point": point,
        "side": data.side,
        "recipe": params.recipe,
        "map_scale": params.train_leanet.map_scale,
        "members": [f"member{number}.safetensors" for number in range(len(members))],
        "attends": members[0].network.external is not None,
        "criterion": params.package.criterion,
        "calibration": vars(calibration),
        **facts,
        "images": data.manifest["path"].tolist(),
    }
    detector = Detector(facts, known, members)
    detector.device = device
    known |= _gallery(detector, data)
    return detector


@torch.inference_mode()
def _out_of_fold(members: list[Member], data: ImageSet, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Margins (N,) and statistics of the maps (N, 4), each image's by the member of the fold it is tested in."""
    margins = np.empty(len(data.labels), np.float32)
    statistics = np.empty((len(data.labels), len(STATISTICS)), np.float32)
    with Progress(len(data.labels), "out-of-fold scores") as progress:
        for fold, member in enumerate(members):
            for start in range(0, len(tested := data.tested(fold)), BATCH):
                places = tested[start : start + BATCH]
                images = data.images[places]
                said, maps, _ = member(from_bytes(torch.from_numpy(images).to(device)))
                margins[places] = said.cpu().numpy()
                statistics[places] = describe(images, maps.cpu().numpy())
                progress.step(len(places), fold=fold)
    return margins, statistics


def _gallery(detector: Detector, data: ImageSet) -> dict[str, np.ndarray]:
    """Images of each class to show beside a new one: their places, thumbnails and embeddings."""
    draw = np.random.default_rng(0)
    classes = (np.flatnonzero(data.labels == label) for label in (0, 1))
    places = np.concatenate([np.sort(draw.permutation(members)[:GALLERY]) for members in classes])
    batches = np.split(places, range(BATCH, len(places), BATCH))
    return {
        "gallery": places,
        "thumbnails": data.images[places],
        "embeddings": np.concatenate([detector.embed(data.images[some]) for some in batches]).astype(np.float16),
    }


def provenance(dataset: str, data: ImageSet) -> dict:
    """Where a detector comes from: commit, hashes of its inputs as in dvc.lock, images, versions.

    The commit is the last one of the code that stage package depends on: a later one, of results, say, would give
    the same detector.
    """
    needed = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]["package"]["deps"]
    code = [path for path in needed if path.endswith(".py")]
    inputs = (paths.raw(dataset), paths.split(dataset), paths.unet(dataset), paths.maps(dataset))
    return {
        # The last that changed what computes it: a later one made the same detector.
        "git_commit": _git("log", "-1", "--format=%H", "--", *code),
        "git_dirty": bool(_git("status", "--porcelain", "--", *code)),
        "dvc_lock": {path.as_posix(): digest for path, digest in _locked(inputs).items()},
        "images": {
            "manifest_sha256": sha256(paths.split(dataset) / "manifest.csv"),
            "positives": int(data.labels.sum()),
            "negatives": int((data.labels == 0).sum()),
        },
        "versions": {"python": sys.version.split()[0]}
        | {name: metadata.version(name) for name in ("torch", "torchvision", "numpy", "pillow")},
    }


def _locked(wanted: tuple[Path, ...]) -> dict[Path, str]:
    """What dvc.lock says of outputs; what it does not know is left out."""
    lock = Path("dvc.lock")
    stages = yaml.safe_load(lock.read_text())["stages"] if lock.exists() else {}
    outputs = {Path(out["path"]): out["md5"] for each in stages.values() for out in each.get("outs", [])}
    return {path: outputs[path] for path in wanted if path in outputs}


def _git(*command: str) -> str:
    """What git says; empty outside a repository."""
    return subprocess.run(["git", *command], capture_output=True, text=True).stdout.strip()
