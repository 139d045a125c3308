"""The commands of the documentation, run one after another."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from conftest import ROOT, make_tiny

QUICK = {  # what `settings photos` sets, in seconds
    "rows": ["cnn-direct"],
    "split.image_size": 32,
    "split.folds": 2,
    "train_unet.epochs": 1,
    "train_leanet.epochs": 1,
    "sweep.shares": [0.5],
}


@pytest.fixture(scope="module")
def commands() -> list[str]:
    block = re.search(r"```sh\n(.+?)```", (ROOT / "docs/detector.md").read_text(), re.DOTALL)[1]
    return [line.split("  #")[0].strip() for line in block.splitlines()]


def test_ten_commands_from_a_folder_to_a_detector_in_use(commands, tmp_path):
    assert len(commands) == 10
    project = make_tiny(tmp_path / "project")
    shutil.copytree(ROOT / "settings", project.root / "settings", dirs_exist_ok=True)
    for tool in ("git", "dvc"):
        assert project.run(tool, "init", "-q").returncode == 0
    parts = project.root / "my-parts"
    assert project.run("python", "-m", "stages.download", "leaf").returncode == 0
    shutil.move(project.root / "data/raw/leaf", parts)
    (project.root / "new-parts").mkdir()
    for kind in ("Positive", "Negative"):
        shutil.copy(next((parts / kind).iterdir()), project.root / f"new-parts/{kind}.png")
    (project.root / ".venv/bin").mkdir(parents=True)
    (project.root / ".venv/bin/activate").touch()  # the environment is that of the test
    for command in commands[:-1]:
        done = project.run("bash", "-c", command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if "settings" in command:
            for key, value in QUICK.items():
                project.edit(key, value)
    assert {file.name for file in (project.root / "seen").iterdir()} >= {"Positive.png-map.png"}
    assert (project.root / "found.csv").read_text().count("\n") == 3
    assert (project.root / "detector.onnx").stat().st_size > 10**6
    assert commands[-1] == "python -m leanet serve"
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    server = subprocess.Popen(
        ["bash", "-c", f"exec {commands[-1]}"],
        cwd=project.root,
        env=os.environ | {"PATH": tools},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = server.stdout.readline().split()[-1]
        assert requests.get(f"{address}api/detector", timeout=10).json()["dataset"] == "parts"
    finally:
        server.terminate()
        server.wait(10)
