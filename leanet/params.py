"""The typed view of params.yaml: every knob, its type and its range, checked before anything runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from leanet import paths, rows
from leanet.detector.criterion import Criterion
from leanet.errors import InputError
from leanet.schema import Count, Rule, Seed, parse, read

Rate = Annotated[float, Rule("a number above 0 and at most 1", lambda x: 0 < x <= 1)]
AtLeast0 = Annotated[float, Rule("a number of at least 0", lambda x: x >= 0)]
Share = Annotated[float, Rule("a number from 0 to below 1", lambda x: 0 <= x < 1)]
Point = Annotated[int, Rule("an attention point from 1 to 5", lambda p: 1 <= p <= 5)]
KeptShare = Annotated[float, Rule("a number above 0 and below 1", lambda x: 0 < x < 1)]


@dataclass(frozen=True)
class Dataset:
    """A set of images and how many of them take part."""

    source: str  # a folder (leanet.data.layout), or a YAML file that describes the set (leanet.data.sources)
    positives: Count | None  # anomalous images to sample; null takes all
    negatives: Count | None  # normal images to sample; null takes all


@dataclass(frozen=True)
class Split:
    """Stage `split`: sections 4-1 and 4-2."""

    image_size: Annotated[
        int, Rule("a power of two from 32 to 1024", lambda n: n in (32, 64, 128, 256, 512, 1024))
    ]  # side in pixels
    folds: Annotated[int, Rule("a whole number of at least 2", lambda n: n >= 2)]
    repeats: Count  # cross-validations, each with other folds
    groups: Literal["together", "apart"]  # whether images of one group, duplicates among them, share a fold
    undecodable: Literal["stop", "leave-out"]  # what to do about files that are no image
    seed: Seed


@dataclass(frozen=True)
class Augment:
    """Stage `augment`: Fancy PCA (section 3-1)."""

    std: AtLeast0


@dataclass(frozen=True)
class TrainUNet:
    """Stage `train_unet`: the colouriser (sections 3-1, 4-2)."""

    epochs: Count
    patience: Count  # epochs without a lower training loss before it stops
    batch_size: Count
    learning_rate: Rate
    betas: list[Share]
    dropout: Share
    seed: Seed


@dataclass(frozen=True)
class TrainLEANet:
    """Stage `train_leanet`: ADN and CAAN together (sections 3-2 to 3-5, 4-2)."""

    points: list[Point]
    epochs: Count
    batch_size: Count
    learning_rate: Rate
    learning_rate_vgg: Rate
    pretrained: bool  # ADNs begin with torchvision's weights from ImageNet
    map_scale: Annotated[
        float | Literal["own-maximum"],
        Rule("a colour difference above 0, or own-maximum", lambda s: isinstance(s, str) or s > 0),
    ]
    seed: Seed

    def learning_rate_of(self, row: str) -> float:
        """The learning rate of a row's family."""
        return self.learning_rate_vgg if row.startswith("vgg") else self.learning_rate


@dataclass(frozen=True)
class Sweep:
    """Stage `sweep`: fewer training positives, test folds as they are (section 4-4)."""

    rows: list[str]
    shares: list[KeptShare]
    point: Point


@dataclass(frozen=True)
class Package:
    """Stage `package`: what becomes the detector (leanet.detector)."""

    dataset: str | None  # null: the first of datasets
    row: str | None  # null: the best by F1 at points chosen on the other folds
    point: Point | None  # null: the best of the row's
    criterion: str  # of the threshold: best-f1, recall R or false-alarms A


@dataclass(frozen=True)
class Execution:
    """Where trainings run (leanet.execution); no result depends on it beyond rounding."""

    engine: Literal["local", "ray"] = "local"
    workers: Count = 1  # local: trainings at a time, each in a process of its own; 1 trains in the stage's
    cpus: Count | None = None  # cores a training; null shares all of them out (ray: 1)
    gpus: AtLeast0 = 1  # ray: GPUs a training, where the cluster has some; 0.5 puts two on each
    address: str | None = None  # ray: of the cluster; null starts one on this machine


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml."""

    datasets: dict[str, Dataset]
    rows: list[str]
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "float32", "bf16"]
    recipe: Literal["fast", "paper"]
    split: Split
    augment: Augment
    train_unet: TrainUNet
    train_leanet: TrainLEANet
    sweep: Sweep
    package: Package
    execution: Execution = Execution()


def load(file: Path = paths.PARAMS) -> Params:
    """Read and check `file`.

    Raises:
        InputError: the file is missing or no YAML, or a key is unknown, missing, of a wrong type or
            out of range; the text names file, key, value and what was expected.
    """
    params = read(Params, parse(file), file)
    _check_names(params, file)
    return params


def _check_names(params: Params, file: Path) -> None:
    for key in ("datasets", "rows"):
        if not getattr(params, key):
            raise InputError(f"{file}: {key} is empty, expected at least one")
    if not params.train_leanet.points:
        raise InputError(f"{file}: train_leanet.points is empty, expected points from 1 to 5")
    lists = {
        "rows": params.rows,
        "train_leanet.points": params.train_leanet.points,
        "sweep.rows": params.sweep.rows,
        "sweep.shares": params.sweep.shares,
    }
    for key, values in lists.items():
        for value in values:
            if values.count(value) > 1:
                raise InputError(f"{file}: {key} names {value} twice")
    for row in params.rows:
        try:
            rows.check(row)
        except InputError as error:
            raise InputError(f"{file}: rows has {error}") from None
    for row in params.sweep.rows:
        if row not in params.rows:
            raise InputError(f"{file}: sweep.rows has {row}, expected one of rows: " + ", ".join(params.rows))
    if params.sweep.rows and params.sweep.point not in params.train_leanet.points:
        # The curve's end at all positives is what train_leanet gives.
        raise InputError(f"{file}: sweep.point is {params.sweep.point}, expected one of train_leanet.points")
    if len(params.train_unet.betas) != 2:
        raise InputError(f"{file}: train_unet.betas: expected two numbers, Adam's beta 1 and beta 2")
    wanted = params.package
    for key, value, there in (
        ("dataset", wanted.dataset, params.datasets),
        ("row", wanted.row, params.rows),
        ("point", wanted.point, params.train_leanet.points),
    ):
        if value not in (None, *there):
            expected = ", ".join(map(str, there))
            raise InputError(f"{file}: package.{key} is {value}, expected null or one of {expected}")
    try:
        Criterion.parse(wanted.criterion)
    except InputError as error:
        raise InputError(f"{file}: package.criterion is {error}") from None
    for name, dataset in params.datasets.items():
        # DVC joins the names of a stage by "-" and "@"; a name is also a folder's name.
        if not name.replace("_", "").isalnum():
            raise InputError(f"{file}: datasets.{name}: expected a name of letters, digits and _")
        if not Path(dataset.source).exists():
            known = paths.SOURCES / f"{dataset.source}.yaml"
            hint = f"; did you mean {known}?" if known.exists() else ""
            raise InputError(f"{file}: datasets.{name}.source: there is no {dataset.source}{hint}")
