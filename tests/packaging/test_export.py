"""The detector outside this software: as a graph, and as a model of MLflow's."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import torch
from mlflow import MlflowClient
from PIL import Image
from servers import mlflow_model

from leanet import Detector
from leanet.core import paths
from leanet.packaging.registry import register
from leanet.tracking import store

WITHOUT_TORCH = """
import sys
import numpy as np
sys.modules["torch"] = None
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
images = np.load(sys.argv[2])
names = [out.name for out in session.get_outputs()]
np.savez(sys.argv[3], **dict(zip(names, session.run(None, {"images": images}))))
"""


@pytest.fixture(scope="module")
def detector(attending):
    return Detector.load(attending.root / paths.DETECTOR, "cpu")


@pytest.fixture(scope="module")
def of_folds(ensemble):
    return Detector.load(ensemble.root / paths.DETECTOR, "cpu")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("project", ["attending", "ensemble"])
def test_onnx_says_the_same_without_torch(project, request, images, tmp_path):
    project = request.getfixturevalue(project)
    detector = Detector.load(project.root / paths.DETECTOR, "cpu")
    done = project.run("python", "-m", "leanet", "export", str(tmp_path / "detector.onnx"))
    assert done.returncode == 0, done.stderr
    np.save(tmp_path / "images.npy", images)
    files = [str(tmp_path / name) for name in ("detector.onnx", "images.npy", "found.npz")]
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *files], check=True)
    found, judged = np.load(files[2]), detector.predict(images)
    np.testing.assert_allclose(found["score"], judged.scores, atol=1e-5)
    np.testing.assert_allclose(found["map"], judged.maps, atol=1e-3)
    np.testing.assert_allclose(found["attention"], judged.attention, atol=1e-5)
    np.testing.assert_allclose(found["features"], judged.features, atol=1e-4)


def test_an_exported_program_says_the_same(ensemble, of_folds, images, tmp_path):
    assert ensemble.run("python", "-m", "leanet", "export", str(tmp_path / "detector.pt2")).returncode == 0
    facts = {"threshold": "", "side": ""}
    program = torch.export.load(tmp_path / "detector.pt2", extra_files=facts).module()
    assert (float(facts["threshold"]), int(facts["side"])) == (of_folds.threshold.value, 32)
    judged = of_folds.predict(images)
    for count in (1, 7):
        scores, maps, attention, *_ = program(torch.from_numpy(images[:count]))
        np.testing.assert_allclose(scores.detach(), judged.scores[:count], atol=1e-6)
        np.testing.assert_allclose(maps.detach(), judged.maps[:count], atol=1e-4)
        np.testing.assert_allclose(attention.detach(), judged.attention[:count], atol=1e-6)


def test_a_light_detector_has_no_exported_program(attending):
    done = attending.run("python", "-m", "leanet", "export", "detector.pt2")
    assert done.stderr == (
        "leanet: detector.pt2: a light detector is an ONNX graph; of package.kind: ensemble there is a .pt2\n"
    )


def test_another_format_is_said(attending):
    done = attending.run("python", "-m", "leanet", "export", "detector.h5")
    assert done.stderr == "leanet: detector.h5: expected a name that ends in .onnx or .pt2\n"


@pytest.fixture
def data_files(images, tmp_path) -> list[Path]:
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file, image in zip(files, images, strict=False):
        Image.fromarray(image).save(file)
    return files


@pytest.fixture
def registered(attending, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(attending.root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return str(register(paths.DETECTOR))


def test_a_registered_detector_is_one_version_and_the_champion(attending, detector, registered, data_files):
    assert registered == str(register(paths.DETECTOR))
    assert registered.startswith("models:/leanet-leaf/1 is the champion, ")
    client = MlflowClient(store.address())
    assert client.get_model_version_by_alias("leanet-leaf", "champion").version in (1, "1")
    scores = detector.predict(data_files).scores
    np.testing.assert_array_equal(
        Detector.load("models:/leanet-leaf@champion", "cpu").predict(data_files).scores, scores
    )
    model = mlflow.pyfunc.load_model("models:/leanet-leaf@champion")
    table = model.predict(pd.DataFrame({"image": [file.read_bytes() for file in data_files]}))
    np.testing.assert_allclose(table["score"], scores, atol=1e-6)
    saved = {file.suffix for file in (attending.root / "mlruns").rglob("*") if file.is_file()}
    assert not saved & {".pkl", ".pickle", ".pt", ".pth"}


def test_mlflow_serves_it(detector, registered, data_files, tmp_path):
    rows = [[base64.b64encode(file.read_bytes()).decode()] for file in data_files]
    sent = {"dataframe_split": {"columns": ["image"], "data": rows}}
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with mlflow_model("models:/leanet-leaf@champion", tmp_path / "log", PATH=tools) as address:
        answer = requests.post(f"{address}/invocations", json=sent, timeout=60).json()
    scores = [row["score"] for row in answer["predictions"]]
    np.testing.assert_allclose(scores, detector.predict(data_files).scores, atol=1e-6)
