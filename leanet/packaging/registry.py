"""The packaged detector as a registered model of MLflow."""

import io
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import leanet
from leanet.core import files, paths
from leanet.core.errors import InputError
from leanet.detector.folder import read_facts, read_known
from leanet.packaging.merit import Merit
from leanet.tracking import registered, store

KEY, MERIT, DECISION, REASON = (f"leanet.{name}" for name in ("detector", "merit", "decision", "reason"))  # tags
ALIAS, CHALLENGER, TRIAL = "champion", "challenger", "trial"  # decisions; the first two are also aliases
NEEDED = (
    "torch",
    "torchvision",
    "mlflow",
    "numpy",
    "pandas",
    "pillow",
    "scikit-learn",
    "scipy",
    "safetensors",
    "matplotlib",
    "requests",
    "filelock",
    "tqdm",
    "pyyaml",
)


@dataclass(frozen=True)
class Registered:
    """A version of a model, whether it is the champion, and the reason for what was decided of it."""

    model: str
    version: str
    is_champion: bool
    reason: str

    def __str__(self) -> str:
        line, champion = f"models:/{self.model}/{self.version} is", f"models:/{self.model}@{ALIAS}"
        if self.is_champion:
            return f"{line} the {ALIAS}, {champion} ({self.reason})"
        return f"{line} not the {ALIAS} ({self.reason}); `leanet promote {self.version}` would make it {champion}"


def register(folder: Path, *, trial: bool = False, patience: float | None = None) -> Registered:
    """Enter the detector in `folder` as a version of its data set's model, unless it is one already, and judge it.

    It becomes the champion if it is the first, or no worse than the champion (leanet.packaging.merit); else it is
    the challenger. One to which the project goes back becomes again what it was. What was decided, and why, are
    tags of the version.

    trial: of an experiment of DVC's, which changes no alias. patience: seconds to wait for the store to answer at
    all, None for as long as MLflow does; not for the upload.

    Raises:
        InputError: there is no detector, or the store does not take it.
    """
    import mlflow

    facts = read_facts(folder)
    model = model_of(facts)
    with store.opened(patience) as (client, experiment_id):
        mlflow.set_tracking_uri(store.address())
        mlflow.set_experiment(experiment_id=experiment_id)
        # That of another place is not ours (leanet.tracking.store).
        key = f"{files.sha256(folder / paths.FACTS)} in experiment {experiment_id}"
        versions = client.search_model_versions(f"name = '{model}'")
        there = next((each for each in versions if each.tags.get(KEY) == key), None)
        version = str(there.version if there else _upload(folder, model, facts))
        if there is None:
            client.set_model_version_tag(model, version, MERIT, Merit.of(folder).text)
            client.set_model_version_tag(model, version, KEY, key)
        tags = client.get_model_version(model, version).tags
        decision, reason = tags.get(DECISION), tags.get(REASON)
        if decision in (None, TRIAL):
            decision, reason = (TRIAL, "a trial of `dvc exp run`") if trial else _judge(client, model, version)
            _decide(client, model, version, decision, reason)
        elif not trial and not registered.is_noted(folder):  # the project went back to it
            _decide(client, model, version, decision, reason)
        if not trial:
            registered.note(folder)
        return Registered(model, version, _aliases(client, model).get(ALIAS) == version, reason)


def promote(model: str, version: str) -> None:
    """Make a version the champion.

    Raises:
        InputError: there is no such version.
    """
    with store.opened(None) as (client, _):
        there = [str(each.version) for each in client.search_model_versions(f"name = '{model}'")]
        if version not in there:
            known = f"there are {', '.join(sorted(there, key=int))}" if there else "no version is registered"
            raise InputError(f"{model} has no version {version}; {known}")
        _decide(client, model, version, ALIAS, "promoted by hand")


def model_of(facts: dict) -> str:
    """The name of the registered model that a detector of these facts is a version of."""
    return f"leanet-{facts['dataset']}"


def _judge(client, model: str, version: str) -> tuple[str, str]:
    """What is decided of a new version, and why."""
    champion = _aliases(client, model).get(ALIAS)
    if champion is None:
        return ALIAS, "the first of its data set"
    ours, theirs = (client.get_model_version(model, each).tags.get(MERIT) for each in (version, champion))
    if theirs is None:
        return CHALLENGER, f"the champion, version {champion}, is of a time before merits were noted"
    no_worse, why = Merit.from_text(ours).against(Merit.from_text(theirs), f"version {champion}")
    return ALIAS if no_worse else CHALLENGER, why


def _decide(client, model: str, version: str, decision: str, reason: str) -> None:
    """Set the alias that follows from a decision, and note it at the version."""
    if decision != TRIAL:
        if decision == ALIAS and _aliases(client, model).get(CHALLENGER) == version:
            client.delete_registered_model_alias(model, CHALLENGER)
        client.set_registered_model_alias(model, decision, version)
    client.set_model_version_tag(model, version, DECISION, decision)
    client.set_model_version_tag(model, version, REASON, reason)


def _aliases(client, model: str) -> dict[str, str]:
    """Versions by alias; MLflow gives their numbers as one type or the other."""
    return {alias: str(version) for alias, version in client.get_registered_model(model).aliases.items()}


def _upload(folder: Path, model: str, facts: dict) -> str:
    """The number of the new version."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    logged = mlflow.pyfunc.log_model(
        name=model,
        python_model=str(Path(__file__).with_name("served.py")),
        artifacts={"detector": str(folder)},
        code_paths=[str(Path(leanet.__file__).parent)],
        signature=ModelSignature(
            Schema([ColSpec(DataType.binary, "image")]),
            Schema([ColSpec(DataType.double, "score"), ColSpec(DataType.boolean, "anomalous")]),
        ),
        input_example=_example(read_known(folder, facts)["thumbnails"][0]),
        pip_requirements=[f"{package}=={metadata.version(package)}" for package in NEEDED],
        registered_model_name=model,
        metadata={"provenance": facts["provenance"]},
    )
    return logged.registered_model_version


def _example(thumbnail: np.ndarray) -> pd.DataFrame:
    """An image, uint8 (side, side, 3), as a file's bytes."""
    image = io.BytesIO()
    Image.fromarray(thumbnail).save(image, "PNG")
    return pd.DataFrame({"image": [image.getvalue()]})
