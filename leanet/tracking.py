"""MLflow, fed from the files that the stages wrote: a run a stage, and nested runs for its cells.

The files are the truth. A stage that DVC restored from its cache never ran its script, yet its runs can
be made from what it left (`python -m leanet track`). A run is known by a key over its settings and
results, so the same result is logged once, however often it is tracked.
"""

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from leanet import paths, stage, store
from leanet.data.imageset import sha256
from leanet.errors import InputError
from leanet.params import Params
from leanet.rows import BASELINES
from leanet.scores import Undefined, score_images, score_row

KEY, PARENT = "leanet.key", "mlflow.parentRunId"
TEXTS = (".csv", ".json", ".md")


@dataclass(frozen=True)
class Record:
    """What one stage left behind.

    names: the data set and row that the stage was called with. sections: the parts of params.yaml that
    it reads. folders, files: its outputs.
    """

    stage: str
    names: tuple[str, ...]
    sections: tuple[str, ...]
    folders: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def address(self) -> str:
        """As DVC writes it, train_leanet@leaf-resnet18."""
        return stage.address(self.stage, self.names)

    def outputs(self, *suffixes: str) -> list[Path]:
        """Its files of these kinds: tables and figures are what a run is made from, pictures go along."""
        inside = (file for folder in self.folders for file in sorted(folder.glob("*")))
        return [file for file in (*inside, *self.files) if file.suffix in suffixes]


def records(params: Params) -> Iterator[Record]:
    """Every stage of the pipeline as params.yaml spells it out."""
    for dataset in params.datasets:
        one = (dataset,)
        yield Record("download", one, ("datasets",), (paths.raw(dataset),))
        overview = (paths.preview(dataset, "overview"),)
        yield Record("split", one, ("datasets", "split"), (paths.split(dataset),), overview)
        drawn = (paths.basis(dataset), paths.preview(dataset, "augment"))
        yield Record("augment", one, ("augment",), files=drawn)
        yield Record("train_unet", one, ("augment", "precision", "recipe", "train_unet"), (paths.unet(dataset),))
        maps = (paths.maps(dataset),)
        yield Record("anomaly_maps", one, ("precision",), maps, (paths.preview(dataset, "maps"),))
        baselines = tuple(paths.cv(dataset, name) for name in BASELINES)
        yield Record("baselines", one, ("split", "sweep"), baselines, (paths.localization(dataset),))
        sections = ("precision", "recipe", "train_leanet")
        for row in params.rows:
            yield Record("train_leanet", (dataset, row), sections, (paths.cv(dataset, row),))
        for row in params.sweep.rows:
            yield Record("sweep", (dataset, row), (*sections, "sweep"), (paths.sweep(dataset, row),))
    files = (paths.METRICS, paths.TABLE, paths.PAGE)
    yield Record("report", (), ("rows", "split", "sweep"), (paths.PICTURES,), files)
    sections = ("package", "precision", "recipe", "train_leanet")
    yield Record("package", (), sections, (paths.DETECTOR,))


def track(params: Params, chosen: list[str], patience: float | None = None) -> int:
    """Log the stages whose outputs are there, the one `chosen` by stage and names or all; how many were new.

    The store is `MLFLOW_TRACKING_URI`, or `mlflow.db` in the project's root; it is waited for `patience`
    seconds in all, None for as long as MLflow does.

    Raises:
        InputError: no stage is called so.
    """
    every = list(records(params))
    if chosen and chosen not in [[record.stage, *record.names] for record in every]:
        raise InputError(f"params.yaml has no stage {' '.join(chosen)}")
    wanted = [
        record
        for record in every
        if chosen in ([], [record.stage, *record.names])
        and all(output.exists() for output in (*record.folders, *record.files))
    ]
    with store.opened(patience) as (client, experiment_id):
        return sum(_log(client, experiment_id, params, record) for record in wanted)


def _log(client, experiment_id: str, params: Params, record: Record) -> bool:
    """Make the runs of one stage, unless they are there; whether they were made."""
    from mlflow.exceptions import MlflowException

    settings = _settings(params, record)
    digest = hashlib.sha256(json.dumps([record.address, settings]).encode())
    for file in record.outputs(*TEXTS):
        digest.update(sha256(file).encode())
    key = digest.hexdigest()
    if _tidy(client, experiment_id, key):
        return False

    timing = _timing(record)
    tags = {
        "mlflow.runName": record.address,
        "mlflow.source.git.commit": _commit(),
        "dvc.stage": record.address,
        "dvc.experiment": timing["experiment"] or "",
        "device": str(timing.get("device", "")),
        KEY: key,
    }
    start = int(timing["started"] * 1000)
    run = client.create_run(experiment_id, start_time=start, tags=tags).info.run_id
    try:
        _log_batch(client, run, settings, _figures(record, params), start)
        _log_dataset(client, run, record)
        for picture in record.outputs(".png", ".html"):
            client.log_artifact(run, str(picture))
        for cell in _cells(record):
            child_tags = {"mlflow.runName": f"{record.address} {cell.name}", PARENT: run, KEY: key}
            child = client.create_run(experiment_id, start_time=start, tags=child_tags).info.run_id
            _log_batch(client, child, cell.params, cell.scores | {"loss": list(cell.losses)}, start)
            client.set_terminated(child, end_time=start)
        client.set_terminated(run, end_time=start + int(timing["seconds"] * 1000))
    except MlflowException:
        if client.get_run(run).info.lifecycle_stage == "active":
            raise
        # Deleted under our hands: another writer has taken this result over (see _tidy).
    _tidy(client, experiment_id, key, written=True)
    return True


def _tidy(client, experiment_id: str, key: str, written: bool = False) -> bool:
    """Leave one finished run of a result, with its cells, and delete what else there is; whether there is one.

    MLflow has no unique keys. Two writers at once may both finish; who looks last then sees both, and all agree
    on the smallest id. What is unfinished was cut off, or another writer is still at it: before writing it goes
    (that writer notices, and leaves the result to us), after it (`written`) it stays, to be judged when finished.
    """
    found = client.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'", max_results=50_000)
    parents = {run.info.run_id: run.info.status for run in found if PARENT not in run.data.tags}
    kept = min((run for run, status in parents.items() if status == "FINISHED"), default=None)
    spared = {run for run, status in parents.items() if status != "FINISHED"} if written else set()
    for run in sorted(found, key=lambda run: PARENT in run.data.tags):  # a writer looks at the parent
        if run.data.tags.get(PARENT, run.info.run_id) not in {kept, *spared}:
            client.delete_run(run.info.run_id)
    return kept is not None


def _settings(params: Params, record: Record) -> dict[str, str]:
    """The part of params.yaml that the stage reads, flat: {"split.folds": "5", …}."""
    tree = asdict(params)
    chosen = {section: tree[section] for section in record.sections if section != "datasets"}
    if "datasets" in record.sections:
        chosen["datasets"] = {record.names[0]: tree["datasets"][record.names[0]]}
    return {name: str(value) for name, value in _flat(chosen)}


def _flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _timing(record: Record) -> dict:
    """What the stage noted of its last run; now, for a stage that DVC restored."""
    log = paths.LOGS / f"{record.address}.json"
    if log.exists():
        return json.loads(log.read_text())
    return {"started": time.time(), "seconds": 0, "experiment": None}


def _commit() -> str:
    """The commit that is checked out; empty outside git."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return git.stdout.strip()


def _figures(record: Record, params: Params) -> dict[str, float]:
    """The figures of the stage as a whole; what is undefined is left out."""
    if record.stage in ("train_leanet", "baselines"):
        folders = {folder.name: folder for folder in record.folders}
        tree = {
            name: score_row(pd.read_csv(folder / "predictions.csv"), params.split.folds).numbers
            for name, folder in folders.items()
        }
        tree = tree[record.names[1]] if record.stage == "train_leanet" else tree
    elif record.stage == "report":
        tree = json.loads(paths.METRICS.read_text())
    else:
        tree = {}
    return {name: float(value) for name, value in _flat(tree) if isinstance(value, (int, float))}


@dataclass(frozen=True)
class _Cell:
    """One training within a stage: a fold, and an attention point where there is one."""

    params: dict[str, str]
    losses: pd.Series
    scores: dict[str, float]

    @property
    def name(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self.params.items())


def _cells(record: Record) -> Iterator[_Cell]:
    file = next((file for file in record.outputs(*TEXTS) if file.name == "history.csv"), None)
    if file is None:
        return
    history = pd.read_csv(file)
    wanted = ("fold", "point", "share") if record.stage == "sweep" else ("fold", "point")
    axes = [name for name in wanted if name in history]
    predictions = record.folders[0] / "predictions.csv"
    tested = pd.read_csv(predictions).groupby(axes) if predictions.exists() else None
    for place, epochs in history.groupby(axes):
        scores = {} if tested is None else score_images(tested.get_group(place))
        defined = {name: score for name, score in scores.items() if not isinstance(score, Undefined)}
        yield _Cell({axis: f"{value:g}" for axis, value in zip(axes, place, strict=True)}, epochs["loss"], defined)


def _log_batch(
    client, run: str, settings: dict[str, str], figures: dict[str, float | list[float]], when: int
) -> None:
    """Log settings and figures at once; a list is a figure by epoch."""
    from mlflow.entities import Metric, Param

    points = [
        Metric(name, value, when, step)
        for name, values in figures.items()
        for step, value in (enumerate(values, start=1) if isinstance(values, list) else [(0, values)])
    ]
    client.log_batch(run, points, [Param(name, value) for name, value in settings.items()])


def _log_dataset(client, run: str, record: Record) -> None:
    """Which images these were: name, counts, and a hash over paths and contents."""
    from mlflow.entities import Dataset, DatasetInput
    from mlflow.exceptions import MlflowException

    manifest = paths.split(record.names[0]) / "manifest.csv" if record.names else None
    if manifest is None or not manifest.exists():
        return
    labels = pd.read_csv(manifest)["label"]
    profile = {"positives": int(labels.sum()), "negatives": int((labels == 0).sum())}
    dataset = Dataset(
        name=record.names[0],
        digest=sha256(manifest)[:16],
        source_type="local",
        source=json.dumps({"manifest": manifest.as_posix()}),
        profile=json.dumps(profile),
    )
    inputs = [DatasetInput(dataset, tags=[])]
    try:
        client.log_inputs(run, inputs)
    except MlflowException as error:
        # MLflow looks for the data set, then adds it: another writer may have added it in between.
        if error.error_code != "BAD_REQUEST":
            raise
        client.log_inputs(run, inputs)
