"""The whole of params.yaml, and what its sections must agree on. Stages read theirs alone (leanet.run.stage)."""

from dataclasses import dataclass, field
from pathlib import Path

from leanet.attention import rows
from leanet.attention.settings import Sweep, TrainLEANet
from leanet.color.settings import Augment, TrainUNet
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.core.settings import Device, Precision, parse, read
from leanet.detector.criterion import Criterion, default
from leanet.images.settings import Dataset, Split
from leanet.packaging.settings import Package
from leanet.run.settings import Execution
from leanet.training.settings import Recipe


@dataclass(frozen=True)
class Params:
    """Every section, in the order of the file."""

    datasets: dict[str, Dataset]
    rows: list[str]
    device: Device
    precision: Precision
    recipe: Recipe
    split: Split
    augment: Augment
    train_unet: TrainUNet
    train_leanet: TrainLEANet
    sweep: Sweep
    package: Package
    execution: Execution = field(default_factory=Execution)


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
        points = ", ".join(map(str, params.train_leanet.points))
        raise InputError(
            f"{file}: sweep.point is {params.sweep.point}, expected one of train_leanet.points: {points}"
        )
    package = params.package
    for key, value, known, of in (
        ("dataset", package.dataset, params.datasets, "datasets"),
        ("row", package.row, params.rows, "rows"),
        ("point", package.point, params.train_leanet.points, "train_leanet.points"),
    ):
        if value not in (None, *known):
            expected = ", ".join(map(str, known))
            raise InputError(f"{file}: package.{key} is {value}, expected null or one of {of}: {expected}")
    try:
        Criterion.parse(package.criterion or default(anomalous=True))
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
