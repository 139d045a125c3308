"""MLflow, fed from the files that the stages wrote: a run a stage, and nested runs for its cells.

The files are the truth. A stage that DVC restored from its cache never ran its script, yet its runs can
be made from what it left (`leanet track`). A run is known by a key over its settings and results, so the same
result is logged once, however often it is tracked.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pandas as pd

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.core.files import from_json, sha256
from leanet.core.settings import flat
from leanet.evaluation import predictions
from leanet.evaluation.scores import Undefined, score_images, score_row
from leanet.images import imageset
from leanet.run import live as spools
from leanet.run import pipeline
from leanet.run.pipeline import Stage
from leanet.run.provenance import git
from leanet.tracking import commits, live, store
from leanet.tracking.live import PARENT

KEY = "leanet.key"
PICTURES = (".png", ".html")


def track(params: dict, chosen: list[str], patience: float | None = None) -> int:
    """Log the stages whose outputs are there, the one `chosen` by stage and names or all; how many were new.

    Of all, those are left out that are to run again, since dvc.lock has a result of other settings for them.
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
        if (chosen == [stage.name, *stage.names] or (not chosen and commits.is_of(params, stage)))
        and all(out.exists() for out in stage.outs)
    ]
    with store.opened(patience) as (client, experiment_id):
        return sum(_log(client, experiment_id, params, stage, patience) for stage in done)


def _key(params: dict, stage: Stage) -> str:
    """What a run is known by: its settings and its result."""
    said = [stage.address, stage.settings(params), stage.result]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _log(client, experiment_id: str, params: dict, stage: Stage, patience: float | None) -> bool:
    """Make the runs of one stage, unless they are there; whether they were made."""
    key = _key(params, stage)
    with live.turn(patience):
        there = _tidy(client, experiment_id, key)
        is_new = there is None
        run, trainings = _begun(client, experiment_id, stage, is_new)
        if is_new:
            _make(client, experiment_id, params, stage, key, run, trainings)
        else:
            for name, value in commits.tags(stage).items():
                if there.data.tags.get(name) != value:
                    client.set_tag(there.info.run_id, name, value)
        spools.file(stage.address).unlink(missing_ok=True)
    return is_new


def _begun(client, experiment_id: str, stage: Stage, is_new: bool) -> tuple[str | None, dict[str, str]]:
    """The runs that were made while the stage ran: its own, and those of its trainings by name.

    Those of a result that is there already go. Those of settings that were given up are left as killed.
    """
    header = spools.header(spools.file(stage.address))
    if header is None:
        return None, {}
    run, trainings = live.runs_of(client, experiment_id, header["id"])
    is_its = set(header["trainings"]) <= set(_needed(stage))
    if is_its and is_new:
        return run, trainings
    for each in filter(None, (*trainings.values(), run)):
        known = client.get_run(each)
        if is_its and KEY not in known.data.tags:
            client.delete_run(each)
        elif known.info.status == "RUNNING":
            client.set_terminated(each, "KILLED")
    return None, {}


def _needed(stage: Stage) -> list[str]:
    """The keys of the trainings that the stage's result needs; none where nobody can say."""
    with suppress(OSError, ValueError):
        return list(map(str, from_json(paths.needed(stage.address).read_bytes())))
    return []


def _make(
    client, experiment_id: str, params: dict, stage: Stage, key: str, run: str | None, begun: dict[str, str]
) -> None:
    """Make the runs of one stage, or complete the run and those of its trainings that were begun."""
    from mlflow.exceptions import MlflowException

    timing = _timing(stage)
    tags = {
        "mlflow.runName": stage.address,
        "mlflow.source.git.commit": git("rev-parse", "--verify", "--quiet", "HEAD"),
        "dvc.stage": stage.address,
        "dvc.experiment": timing["experiment"] or "",
        "device": str(timing.get("device", "")),
        KEY: key,
    } | commits.tags(stage)
    start = int(timing["started"] * 1000)
    if run is None:
        run = client.create_run(experiment_id, start_time=start, tags=tags).info.run_id
    else:
        client.update_run(run, status="RUNNING")  # it is not complete before all is there
        for name, value in tags.items():
            client.set_tag(run, name, value)
    try:
        _log_batch(client, run, stage.settings(params), _figures(stage), start)
        _log_dataset(client, run, stage)
        for picture in stage.files if stage.name == "report" else ():
            if picture.suffix in PICTURES:
                client.log_artifact(run, str(picture))
        tags = {PARENT: run, KEY: key}
        for cell in _cells(stage):
            _log_cell(client, experiment_id, stage, cell, tags, begun.pop(cell.name, None), start)
        for training in begun.values():  # of a stage that leaves no history
            client.set_tag(training, KEY, key)
            if client.get_run(training).info.status == "RUNNING":
                client.set_terminated(training)
        client.set_terminated(run, end_time=start + int(timing["seconds"] * 1000))
    except MlflowException:
        if client.get_run(run).info.lifecycle_stage == "active":
            raise
        # Deleted under our hands: another writer has taken this result over (see _tidy).
    _tidy(client, experiment_id, key, written=True)


def _log_cell(
    client,
    experiment_id: str,
    stage: Stage,
    cell: "_Cell",
    tags: dict[str, str],
    run: str | None,
    start: int,
) -> None:
    """Make the run of a training, or complete the one that was begun."""
    there = live.steps(client, run) if run else set()
    losses = {step: loss for step, loss in enumerate(cell.losses, start=1) if step not in there}
    when = int(time.time() * 1000)  # of what was missed
    if run is None:
        tags, when = {"mlflow.runName": f"{stage.address} {cell.name}"} | tags, start
        run = client.create_run(experiment_id, start_time=start, tags=tags).info.run_id
    else:
        client.set_tag(run, KEY, tags[KEY])
    _log_batch(client, run, cell.params, cell.scores | {"loss": losses}, when)
    if client.get_run(run).info.status == "RUNNING":
        client.set_terminated(run, end_time=when)


def _tidy(client, experiment_id: str, key: str, written: bool = False):
    """Leave one finished run of a result, with its cells, and delete what else there is; that run, or None.

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
    return next((run for run in found if run.info.run_id == kept), None)


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
        tables = {folder.name: predictions.read(folder) for folder in folders}
        # Where there is nothing to learn from, a row has no prediction.
        tree = {name: score_row(table, k).numbers for name, table in tables.items() if len(table)}
        tree = tree.get(stage.names[1], {}) if stage.name == "train_leanet" else tree
    elif stage.name == "report":
        files = sorted(paths.METRICS.glob("*/*.json"))
        tree = {f"{file.parent.name}.{file.stem}": json.loads(file.read_text()) for file in files}
    else:
        tree = {}
    return {name: float(value) for name, value in flat(tree) if isinstance(value, (int, float))}


@dataclass(frozen=True)
class _Cell:
    """One training within a stage: a colouriser, or a fold and an attention point where there is one."""

    name: str
    params: dict[str, str]
    losses: pd.Series
    scores: dict[str, float]


def _cells(stage: Stage) -> Iterator[_Cell]:
    folder = next((out for out in stage.outs if (out / predictions.HISTORY).exists()), None)
    if folder is None:
        return
    history = predictions.read_history(folder)
    if not len(history):
        return  # nothing was trained
    names = ("colouriser", "fold", "point", *(["share"] if stage.name == "sweep" else []))
    axes = [name for name in names if name in history]
    scored = (folder / predictions.PREDICTIONS).exists()
    tested = predictions.read(folder).groupby(axes) if scored else None
    widths = {axis: max(map(len, map(live.shown, history[axis].unique()))) for axis in axes}
    for place, epochs in history.groupby(axes):
        scores = {} if tested is None else score_images(tested.get_group(place))
        defined = {name: score for name, score in scores.items() if not isinstance(score, Undefined)}
        name = dict(zip(axes, place, strict=True))
        params = {axis: live.shown(value) for axis, value in name.items()}
        yield _Cell(live.called(name, widths), params, epochs["loss"], defined)


def _log_batch(
    client, run: str, settings: dict[str, str], figures: dict[str, float | dict[int, float]], when: int
) -> None:
    """Log settings and figures at once; some are by epoch."""
    from mlflow.entities import Metric, Param

    points = [
        Metric(name, value, when, step)
        for name, values in figures.items()
        for step, value in (values.items() if isinstance(values, dict) else [(0, values)])
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
