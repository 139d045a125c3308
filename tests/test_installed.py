"""The package as it is installed: what its files are, and what is enough to judge an image."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, f"build_{sys.argv[1]}")(sys.argv[2]))
"""

# Run by Python itself at the start of every process: what is not among the base's dependencies is not there.
REFUSING = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def found(name, path=None, target=None):
    return None if name.partition(".")[0] in {names} else find(name, path, target)
PathFinder.find_spec = found
"""
IMPORTED_AS = {
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "ruamel.yaml": "ruamel",
    "dvc-s3": "dvc_s3",
}


# Serves a detector to itself: a form of two files, of which one is no image.
SERVING = """
import sys, threading, urllib.request
from pathlib import Path
from leanet.detector.detector import Detector
from leanet.service.application import listen, serve
listener = listen("127.0.0.1", 0)
given = Detector.load(sys.argv[1], "cpu"), listener, "127.0.0.1", None
threading.Thread(target=serve, args=given, daemon=True).start()
part = b'--b\\r\\nContent-Disposition: form-data; name="image"; filename="%s"\\r\\n\\r\\n%s\\r\\n'
body = part % (b"a.png", Path(sys.argv[2]).read_bytes()) + part % (b"b.png", b"hello") + b"--b--"
address = "http://127.0.0.1:{}/".format(listener.getsockname()[1])
kind = {"Content-Type": "multipart/form-data; boundary=b"}
print(urllib.request.urlopen(urllib.request.Request(address + "api/predict", body, kind)).read().decode())
print(urllib.request.urlopen(address).read().decode())
"""


def build(kind: str, source: Path, to: Path) -> Path:
    """Build a wheel or an sdist as pip would."""
    to.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, kind, to], cwd=source, capture_output=True, text=True, check=True
    )
    return to / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """The project's own files, where building leaves its traces."""
    folder = tmp_path_factory.mktemp("source") / "project"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "leanet", folder / "leanet", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def wheel(source) -> Path:
    return build("wheel", source, source.parent / "wheel")


def test_a_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    ours = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "leanet").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == ours


def test_an_sdist_gives_the_same_wheel(source, wheel, tmp_path):
    sdist = build("sdist", source, tmp_path / "sdist")
    shutil.unpack_archive(sdist, tmp_path)
    (unpacked,) = (folder for folder in tmp_path.iterdir() if (folder / "PKG-INFO").exists())
    again = build("wheel", unpacked, tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """Runs a command outside of any project, where the wheel is installed and only what its base asks for."""
    root = tmp_path_factory.mktemp("elsewhere")
    site = root / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel]
    subprocess.run(pip, check=True)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {
        re.match(r"[\w.-]+", one)[0].lower()
        for extra in ("torch", "fill", "pipeline", "ray", "bucket", "s3")
        for one in extras[extra]
    }
    # pydantic comes with the web framework.
    refused = {IMPORTED_AS.get(name, name) for name in names} - {"leanet", "pydantic"}
    assert {"torch", "skimage", "sklearn", "pandas", "dvc", "mlflow", "ray", "onnx", "yaml"} <= refused
    assert {"matplotlib", "requests"} <= refused
    (root / "refusing").mkdir()
    (root / "refusing/sitecustomize.py").write_text(REFUSING.format(names=sorted(refused)))

    def run(*command: str) -> subprocess.CompletedProcess:
        env = os.environ | {"PYTHONPATH": f"{root / 'refusing'}{os.pathsep}{site}"}
        env["PATH"] = f"{site / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)

    where = run(sys.executable, "-c", "import leanet; print(leanet.__file__)")
    assert where.stdout.strip() == str(site / "leanet/__init__.py"), where.stderr
    return run


def test_the_base_judges_an_image_by_a_detector_from_elsewhere(elsewhere, attending):
    image = next((attending.root / "data/raw/leaf/Negative").iterdir())
    done = elsewhere("leanet", "predict", str(image), "--detector", str(attending.root / "models/detector"))
    assert done.returncode == 0, done.stderr
    assert str(image) in done.stdout
    code = (
        "import leanet, sys; print(leanet.Detector.load({!r}, 'cpu').predict([{!r}]).scores.shape);"
        "print('scipy' in sys.modules)"  # a third of a second, for figures that one image does not need
    )
    done = elsewhere(sys.executable, "-c", code.format(str(attending.root / "models/detector"), str(image)))
    assert done.stdout == "(1,)\nFalse\n", done.stderr


def test_the_base_draws_overlays(elsewhere, attending, tmp_path):
    image = next((attending.root / "data/raw/leaf/Negative").iterdir())
    detector = str(attending.root / "models/detector")
    done = elsewhere("leanet", "predict", str(image), "--detector", detector, "--overlays", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{image.name}-map.png").exists()


def test_the_base_serves_the_page_and_the_api(elsewhere, attending):
    image = next((attending.root / "data/raw/leaf/Negative").iterdir())
    done = elsewhere(sys.executable, "-c", SERVING, str(attending.root / "models/detector"), str(image))
    assert done.returncode == 0, done.stderr
    _, answer, page = done.stdout.split("\n", 2)
    judged, broken = json.loads(answer)["results"]
    assert judged["layers"]["map"].startswith("data:image/png")
    assert "no JPEG, PNG" in broken["error"]
    for part in ("<dialog", "--ground", "#filters", "class Archive"):  # of each kind of file that it is made of
        assert part in page


def test_what_an_ensemble_needs_is_said(elsewhere, ensemble):
    done = elsewhere("leanet", "predict", "a.png", "--detector", str(ensemble.root / "models/detector"))
    assert (
        done.stderr
        == "leanet: predict needs torch, which is not installed: pip install '.[torch]' in leanet's folder\n"
    )


def test_what_a_bucket_needs_is_said(elsewhere):
    done = elsewhere("leanet", "predict", "s3://team/new", "--out", "scores")
    assert (
        done.stderr
        == "leanet: predict needs fsspec, which is not installed: pip install '.[bucket]' in leanet's folder\n"
    )


@pytest.mark.parametrize("command", ["check", "track", "use"])
def test_what_needs_more_says_how_to_get_it(elsewhere, command):
    done = elsewhere("leanet", command, *(["leaf"] if command == "use" else []))
    assert done.returncode == 1
    assert re.fullmatch(
        rf"leanet: {command} needs \w+, which is not installed: pip install '.\[pipeline\]' in leanet's folder\n",
        done.stderr,
    )
