"""The packaged detector as a registered model of MLflow."""

import io
import json
from importlib import metadata
from pathlib import Path

import pandas as pd
from PIL import Image
from safetensors.numpy import load_file

import leanet
from leanet.core import files, paths
from leanet.core.errors import InputError
from leanet.detector.detector import KNOWN
from leanet.tracking import champions, store

KEY, ALIAS = "leanet.detector", "champion"
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


def register(folder: Path, *, champion: bool = True, patience: float | None = None) -> str:
    """Enter the detector in `folder` as a version of `leanet-<data set>`, unless it is one already.

    champion: whether it becomes the champion; that of an experiment of DVC's, perhaps a failed trial, does not.
    patience: seconds to wait for the store to answer at all, None for as long as MLflow does; not for the upload.

    Returns the version's address, models:/leanet-leaf/3.

    Raises:
        InputError: there is no detector, or the store does not take it.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    if not (folder / paths.FACTS).exists():
        raise InputError(f"{folder}: no detector there; `dvc repro package` makes it")
    facts = json.loads((folder / paths.FACTS).read_text(encoding="utf-8"))
    name, key = f"leanet-{facts['dataset']}", files.sha256(folder / paths.FACTS)
    with store.opened(patience) as (client, experiment_id):
        mlflow.set_tracking_uri(store.address())
        mlflow.set_experiment(experiment_id=experiment_id)
        key += f" in experiment {experiment_id}"  # that of another place is not ours (leanet.tracking.store)
        there = [each for each in client.search_model_versions(f"name = '{name}'") if each.tags.get(KEY) == key]
        if there:
            version = there[0].version
        else:
            model = mlflow.pyfunc.log_model(
                name=name,
                python_model=str(Path(__file__).with_name("served.py")),
                artifacts={"detector": str(folder)},
                code_paths=[str(Path(leanet.__file__).parent)],
                signature=ModelSignature(
                    Schema([ColSpec(DataType.binary, "image")]),
                    Schema([ColSpec(DataType.double, "score"), ColSpec(DataType.boolean, "anomalous")]),
                ),
                input_example=_example(folder),
                pip_requirements=[f"{package}=={metadata.version(package)}" for package in NEEDED],
                registered_model_name=name,
                metadata={"provenance": facts["provenance"]},
            )
            version = model.registered_model_version
            client.set_model_version_tag(name, version, KEY, key)
        if champion:
            client.set_registered_model_alias(name, ALIAS, version)
            champions.note(folder)
    return f"models:/{name}/{version}"


def _example(folder: Path) -> pd.DataFrame:
    """One image that the detector was made from, as a file's bytes."""
    image = io.BytesIO()
    Image.fromarray(load_file(folder / KNOWN)["thumbnails"][0]).save(image, "PNG")
    return pd.DataFrame({"image": [image.getvalue()]})
