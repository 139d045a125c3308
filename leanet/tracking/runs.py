"""MLflow, fed from the files that the stages wrote: a run a stage, and nested runs for its cells.

The files are the truth. A stage that DVC restored from its cache never ran its script, yet its runs can
be made from what it left (`leanet track`). A run is known by a key over its settings and results, so the same
result is logged once, however often it is tracked.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.core.files import sha256
from leanet.core.settings import flat
from leanet.evaluation import predictions
from leanet.evaluation.scores import Undefined, score_images, score_row
from leanet.images import imageset
from leanet.run import pipeline
from leanet.run.pipeline import Stage
from leanet.run.provenance import git
from leanet.tracking import store

KEY, PARENT = "leanet.key", "mlflow.parentRunId"
PICTURES = (".png", ".html")


def track(params: dict, chosen: list[str], patience: float | None = None) -> int:
    """Log the stages whose outputs are there, the one `chosen` by stage and names or all; how many were new.

    params: the content of params.yaml. The store is `MLFLOW_TRACKING_URI`, or `mlflow.db` in the project's root.
    patience: seconds to wait for it in all, None for as long as MLflow does.

    Raises:
        InputError: no stage is called so.
    """
    every = [stage for stage in pipeline.stages(params) if stage.name != "check"]
    if chosen and chosen not in [[stage.name, *stage.names] for stage in every]:
        raise InputError(f"params.yaml has no stage {' '.join(chosen)}")
    done = [
        stage
        for stage in every
        if chosen in ([], [stage.name, *stage.names]) and all(out.exists() for out in stage.outs)
    ]
    with store.opened(patience) as (client, experiment_id):
        return sum(_log(client, experiment_id, params, stage) for stage in done)


def _key(params: dict, stage: Stage) -> str:
    """What a run is known by: its settings and its result."""
    said = [stage.address, _settings(params, stage), stage.result]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _log(client, experiment_id: str, params: dict, stage: Stage) -> bool:
    """Make the runs of one stage, unless they are there; whether they were made."""
    from mlflow.exceptions import MlflowException

    key = _key(params, stage)
    if _tidy(client, experiment_id, key):
        return False

    timing = _timing(stage)
    tags = {
        "mlflow.runName": stage.address,
        "mlflow.source.git.commit": git("rev-parse", "--verify", "--quiet", "HEAD"),
        "dvc.stage": stage.address,
        "dvc.experiment": timing["experiment"] or "",
        "device": str(timing.get("device", "")),
        KEY: key,
    }
    start = int(timing["started"] * 1000)
    run = client.create_run(experiment_id, start_time=start, tags=tags).info.run_id
    try:
        _log_batch(client, run, _settings(params, stage), _figures(stage), start)
        _log_dataset(client, run, stage)
        for picture in stage.files if stage.name == "report" else ():
            if picture.suffix in PICTURES:
                client.log_artifact(run, str(picture))
        for cell in _cells(stage):
            child_tags = {"mlflow.runName": f"{stage.address} {cell.name}", PARENT: run, KEY: key}
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
    # What has finished since the search is its own writer's to judge: it may be kept in place of this one.
    spared |= {
        run
        for run, status in parents.items()
        if kept and status != "FINISHED" and client.get_run(run).info.status == "FINISHED"
    }
    for run in sorted(found, key=lambda run: PARENT in run.data.tags):  # a writer looks at the parent
        if run.data.tags.get(PARENT, run.info.run_id) not in {kept, *spared}:
            client.delete_run(run.info.run_id)
    return kept is not None


def _settings(params: dict, stage: Stage) -> dict[str, str]:
    """The part of params.yaml that the stage depends on, flat: {"split.folds": "5", …}."""
    parts = {key: _look_up(params, key) for key in stage.params}
    return {name: str(value) for name, value in flat(parts)}


def _look_up(params: dict, key: str) -> object:
    for word in key.split("."):
        params = params[word]
    return params


def _timing(stage: Stage) -> dict:
    """What the stage noted of its last run; now, for another result, which DVC restored."""
    log = paths.LOGS / f"{stage.address}.json"
    if log.exists():
        facts = json.loads(log.read_text())
        if facts.get("result") == stage.result:
            return facts
    return {"started": time.time(), "seconds": 0, "experiment": None}


def _figures(stage: Stage) -> dict[str, float]:
    """The figures of the stage as a whole; what is undefined is left out."""
    if stage.name in ("train_leanet", "baselines"):
        folders = [out for out in stage.outs if out.is_relative_to(paths.CV)]
        k = imageset.load(paths.split(stage.names[0])).folds_per_repeat
        tree = {folder.name: score_row(predictions.read(folder), k).numbers for folder in folders}
        tree = tree[stage.names[1]] if stage.name == "train_leanet" else tree
    elif stage.name == "report":
        tree = json.loads(paths.METRICS.read_text())
    else:
        tree = {}
    return {name: float(value) for name, value in flat(tree) if isinstance(value, (int, float))}


@dataclass(frozen=True)
class _Cell:
    """One training within a stage: a colouriser, or a fold and an attention point where there is one."""

    params: dict[str, str]
    losses: pd.Series
    scores: dict[str, float]

    @property
    def name(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self.params.items())


def _cells(stage: Stage) -> Iterator[_Cell]:
    folder = next((out for out in stage.outs if (out / predictions.HISTORY).exists()), None)
    if folder is None:
        return
    history = predictions.read_history(folder)
    names = ("colouriser", "fold", "point", *(["share"] if stage.name == "sweep" else []))
    axes = [name for name in names if name in history]
    scored = (folder / predictions.PREDICTIONS).exists()
    tested = predictions.read(folder).groupby(axes) if scored else None
    for place, epochs in history.groupby(axes):
        scores = {} if tested is None else score_images(tested.get_group(place))
        defined = {name: score for name, score in scores.items() if not isinstance(score, Undefined)}
        named = {
            axis: value if isinstance(value, str) else f"{value:g}"
            for axis, value in zip(axes, place, strict=True)
        }
        yield _Cell(named, epochs["loss"], defined)


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


def _log_dataset(client, run: str, stage: Stage) -> None:
    """Which images these were: name, counts, and a hash over paths and contents."""
    from mlflow.entities import Dataset, DatasetInput
    from mlflow.exceptions import MlflowException

    manifest = paths.split(stage.names[0]) / "manifest.csv" if stage.names else None
    if manifest is None or not manifest.exists():
        return
    labels = imageset.read_manifest(manifest.parent)["label"]
    profile = {"positives": int(labels.sum()), "negatives": int((labels == 0).sum())}
    dataset = Dataset(
        name=stage.names[0],
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
