"""The cells of a cross-validation: one training each, for a fold, an attention point and a share of positives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from inspect import signature

import numpy as np
import pandas as pd
import torch

from leanet.attention import detect, rows
from leanet.attention.leanet import LEANet, build, loss
from leanet.attention.settings import TrainLEANet
from leanet.core.arrays import ArrayFile
from leanet.core.settings import Precision
from leanet.images.counterfactuals import Counterfactuals
from leanet.images.imageset import ImageSet
from leanet.images.sampling import thin
from leanet.training import memory
from leanet.training.job import Job, Outcome
from leanet.training.settings import Recipe

# Bytes of weights that the cells of a row may leave for the detector. Beyond, as for VGGs at five points, they are
# not kept, and stage `package` trains its few networks once more.
MOST_WEIGHTS = 2 * 2**30
SEEN = ("attention", "before", "after")  # of leanet.attention.leanet.LEANet.look


@dataclass(frozen=True)
class Cell:
    """Which training it is."""

    fold: int
    point: int  # 0 where nothing attends
    share: float = 1  # of the training positives that are kept


def points_of(row: str, points: list[int]) -> list[int]:
    """Those of `points` that the row is trained at; [0] where nothing attends."""
    return [0] if rows.parts(row).external is None else points


def jobs(
    row: str,
    cells: list[Cell],
    data: ImageSet,
    maps: Mapping[int, ArrayFile],
    settings: TrainLEANet,
    *,
    recipe: Recipe,
    precision: Precision,
    seed: int | None = None,
    altered: Counterfactuals | None = None,
    detector_folds: Iterable[int] = (),
) -> list[Job]:
    """The trainings of `row` for `cells`.

    maps: by fold, the anomaly maps of all images for the fold's networks, float16 (N, side, side). seed: of which
    positives a share keeps; not needed where all are. altered: images that ask where a network looks, to be
    scored as well. detector_folds: those whose networks may become a detector, and keep their weights.

    Raises:
        InputError: the row's network has no such attention point at this size, or a share leaves no positive.
    """
    with torch.device("meta"):  # shapes without weights: a missing point is said before hours of training
        networks = {
            point: build(row, side=data.side, point=point, pretrained=settings.pretrained)
            for point in {cell.point for cell in cells}
        }
        needed = {point: _memory(network, data.side, settings.batch_size) for point, network in networks.items()}
    kept = [cell for cell in cells if cell.fold in detector_folds]
    if sum(_bytes(networks[cell.point]) for cell in kept) > MOST_WEIGHTS:
        kept = []
    rate = settings.learning_rate_of(row)

    def job(cell: Cell) -> Job:
        train = thin(data.trained(cell.fold), data.labels, cell.share, seed=seed, fold=cell.fold)
        shown = examples(row, data) if cell.fold == 0 and cell.share == 1 else np.array([], int)
        asked = _altered(altered, data, cell.fold)
        shapes = {"losses": (None,), "scores": (len(data.tested(cell.fold)),)}
        shapes |= {f"scores_{kind}": (len(asked["altered"]),) for kind in (altered.images if asked else ())}
        shapes |= {name: (len(shown), None, None) for name in (SEEN if len(shown) else ())}
        return Job(
            name=vars(cell),
            function=detect.cell,
            arrays={
                "images": data.images,
                "maps": maps[cell.fold],
                "labels": data.labels,
                "train": train,
                "test": data.tested(cell.fold),
                "shown": shown,
                **asked,
            },
            settings={
                "row": row,
                "point": cell.point,
                "fold": cell.fold,
                "recipe": recipe,
                "precision": precision,
                # What concerns this training alone: another point beside its own changes nothing.
                "train_leanet": replace(settings, points=[cell.point], learning_rate=rate, learning_rate_vgg=rate),
            },
            epochs=settings.epochs * (1 + detect.is_painted(row)),
            memory=needed[cell.point],
            keep_weights=cell in kept,
            shapes=shapes,
        )

    return [job(cell) for cell in cells]


def examples(row: str, data: ImageSet) -> np.ndarray:
    """Test images of the first fold: what a row that attends sees in them is kept for pictures (Fig. 5)."""
    return data.examples(0, positives=4, negatives=4) if rows.parts(row).external else np.array([], int)


def _altered(altered: Counterfactuals | None, data: ImageSet, fold: int) -> dict[str, ArrayFile | np.ndarray]:
    """The arrays of altered images that a job scores."""
    if altered is None or fold >= data.folds_per_repeat:
        return {}
    arrays = {"altered": altered.of_fold(data, fold)}
    for kind, images in altered.images.items():
        arrays |= {f"{kind}_images": images, f"{kind}_maps": altered.maps[kind]}
    return arrays


def altered_predictions(
    jobs: list[Job], outcomes: Iterable[Outcome], data: ImageSet, altered: Counterfactuals
) -> pd.DataFrame:
    """The scores of altered images: path, label, kind, fold, point, share, score."""
    parts = []
    for job, outcome in zip(jobs, outcomes, strict=True):
        if "altered" not in job.arrays:
            continue
        chosen = altered.asked[altered.of_fold(data, job.name["fold"])]
        images = data.manifest.loc[chosen, ["path", "label"]]
        for kind in altered.images:
            parts.append(images.assign(kind=kind, **job.name, score=outcome.arrays[f"scores_{kind}"]))
    return pd.concat(parts)


def predictions(jobs: list[Job], outcomes: Iterable[Outcome], data: ImageSet) -> pd.DataFrame:
    """The scores of the test images, as in leanet.evaluation.predictions."""
    images = data.manifest[["path", "label"]]
    return pd.concat(
        images.loc[data.tested(job.name["fold"])].assign(**job.name, score=outcome.arrays["scores"])
        for job, outcome in zip(jobs, outcomes, strict=True)
    )


def _memory(network: LEANet, side: int, batch_size: int) -> int:
    """Bytes that a training of `network`, which is on the meta device, takes at most."""

    def logits(count: int) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        return network(torch.empty(count, 3, side, side), torch.empty(count, 1, side, side))

    def trained() -> torch.Tensor:
        return loss(*logits(batch_size)[:2], torch.zeros(batch_size, dtype=torch.int64))

    @torch.inference_mode()
    def scored() -> torch.Tensor:
        return logits(signature(detect.predict).parameters["batch_size"].default)[0]

    return memory.needed(network, trained, scored)


def _bytes(network: torch.nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
