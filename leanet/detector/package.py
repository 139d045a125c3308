"""Making a detector: which row, its fold models, and what they say of images that they never saw."""

from collections.abc import Iterator
from itertools import product
from threading import Lock

import numpy as np
import torch

from leanet.attention import rows as row_names
from leanet.color.lab import from_bytes
from leanet.core import paths
from leanet.core.device import one_core_a_thread
from leanet.core.errors import InputError
from leanet.core.parallel import in_order
from leanet.core.progress import Progress
from leanet.detector.calibration import Calibration
from leanet.detector.detector import BATCH, PARTS, Detector, member_of
from leanet.detector.drift import STATISTICS, describe
from leanet.detector.ensemble import Member, joined
from leanet.detector.settings import Package
from leanet.evaluation import predictions
from leanet.evaluation.baselines import BORDER_HISTOGRAM
from leanet.evaluation.scores import RowScores, Undefined, score_row
from leanet.evaluation.shortcuts import border_tells
from leanet.images.imageset import ImageSet

GALLERY = 200  # images of each class to find the nearest among, at most


def choose(package: Package, rows: list[str], dataset: str, folds: int) -> tuple[str, int, RowScores]:
    """The row of the highest F1, its point (0: none) by all folds together, and its figures.

    folds: of the first repeat. What `package` names is taken as it is.

    Raises:
        InputError: no row has an F1.
    """
    candidates = [package.row] if package.row else rows
    scores = {row: score_row(predictions.read(paths.cv(dataset, row)), folds) for row in candidates}
    defined = {row: each.f1.mean for row, each in scores.items() if not isinstance(each.f1.mean, Undefined)}
    if not defined:
        raise InputError(f"no row of {dataset} has an F1 to choose by; name one as package.row in params.yaml")
    row = max(defined, key=defined.get)
    if row_names.parts(row).external is None:
        return row, 0, scores[row]
    return row, package.point or scores[row].paper_point, scores[row]


def border(dataset: str, folds: int) -> float | None:
    """The AUROC of the baseline border-histogram, if the border tells the classes apart by more than chance."""
    auroc = score_row(predictions.read(paths.cv(dataset, BORDER_HISTOGRAM)), folds).auroc
    return round(auroc.mean, 2) if border_tells(auroc) else None


def assemble(
    facts: dict,
    weights: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]],
    data: ImageSet,
    device: torch.device,
) -> Detector:
    """A detector of one member a fold of the first repeat.

    facts: what the detector is to say of itself, among it row, point (0: none), recipe, map_scale, pretrained,
    border and criterion. weights: of each fold, by their names in the networks, those of its colouriser and of its
    row.
    """
    facts = facts | {
        "side": data.side,
        "members": [[f"{part}{fold}.safetensors" for part in PARTS] for fold in range(len(weights))],
    }
    members = []
    for parts in weights:
        with torch.device("meta"):
            member = member_of(facts)
        for part, arrays in zip(PARTS, parts, strict=True):
            state = {key: torch.from_numpy(array) for key, array in arrays.items()}
            member.get_submodule(part).load_state_dict(state, assign=True)
        members.append(member.to(device).eval().requires_grad_(False))
    margins, statistics = _out_of_fold(members, data, device)
    calibration = Calibration.fit(margins, data.labels)
    places = _gallery(data)
    facts |= {
        "attends": members[0].network.external is not None,
        "calibration": vars(calibration),
        "images": data.manifest["path"].tolist(),
    }
    known = {
        "margins": margins,
        "labels": data.labels.astype(np.uint8),
        "folds": data.first_tested_in.astype(np.int16),
        "statistics": statistics,
        "gallery": places,
        "thumbnails": data.images[places],
        "embeddings": _embeddings(members, data.images[places], device),
    }
    return Detector(facts, known, members)


def _out_of_fold(members: list[Member], data: ImageSet, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Margins (N,) and statistics of the maps (N, 4), each image's by the member of the fold it is tested in."""
    margins = np.empty(len(data.labels), np.float32)
    statistics = np.empty((len(data.labels), len(STATISTICS)), np.float32)
    busy = [Lock() for _ in members]

    @torch.inference_mode()
    def judged(
        fold: int, places: np.ndarray, images: np.ndarray
    ) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        with busy[fold]:
            said, maps, _ = members[fold](from_bytes(torch.from_numpy(images).to(device)))
        return fold, places, said.cpu().numpy(), describe(images, maps.cpu().numpy())

    with Progress(len(data.labels), "out-of-fold scores") as progress, one_core_a_thread(device) as threads:
        batches = ((fold, places, data.images[places]) for fold, places in _in_turn(data, len(members)))
        for fold, places, said, described in in_order(judged, batches, threads):
            margins[places], statistics[places] = said, described
            progress.step(len(places), fold=fold)
    return margins, statistics


def _in_turn(data: ImageSet, folds: int) -> Iterator[tuple[int, np.ndarray]]:
    """The folds and places of batches: the first of all folds, then the second of all, for all members to work."""
    tested = [data.tested(fold) for fold in range(folds)]
    for start in range(0, max(map(len, tested)), BATCH):
        for fold, places in enumerate(tested):
            if len(batch := places[start : start + BATCH]):
                yield fold, batch


def _gallery(data: ImageSet) -> np.ndarray:
    """Which images of each class are shown beside a new one, (G,)."""
    draw = np.random.default_rng(0)
    classes = (np.flatnonzero(data.labels == label) for label in (0, 1))
    return np.concatenate([np.sort(draw.permutation(members)[:GALLERY]) for members in classes])


def _embeddings(members: list[Member], images: np.ndarray, device: torch.device) -> np.ndarray:
    """Of the images of the gallery, float16 (G, D)."""
    members = [member.to(device, memory_format=torch.channels_last) for member in members]
    busy = [Lock() for _ in members]

    @torch.inference_mode()
    def seen(batch: torch.Tensor, fold: int) -> torch.Tensor:
        with busy[fold]:
            return members[fold].embed(from_bytes(batch.to(device))).cpu()

    batches = product(torch.from_numpy(images).split(BATCH), range(len(members)))
    with one_core_a_thread(device) as threads:
        parts = list(in_order(seen, batches, threads))
    of_batches = (parts[start : start + len(members)] for start in range(0, len(parts), len(members)))
    return np.concatenate([joined(each).numpy() for each in of_batches]).astype(np.float16)
