"""A history of a tiny project: a first commit, and six that each change one thing, with their results."""

import shutil
from argparse import Namespace
from contextlib import chdir
from pathlib import Path

import yaml
from conftest import Project, call, make_tiny, parameters

from leanet.cli import check
from leanet.core import paths
from stages import anomaly_maps, augment, baselines, download, split, train_leanet, train_unet

SOURCE = {"draw": "leaf", "positives": 14, "negatives": 25, "side": 48, "seed": 3}
STEPS = ("first", "seed", "rate", "row", "relabelled", "size", "code")  # tags, in their order
RELABELLED = 10


def make(root: Path) -> Project:
    """The project, with a tag for each step.

    The stages that a step concerns run in this process, as `dvc repro` would run them, and DVC commits what they
    made: it takes a tenth of the time.
    """
    project = make_tiny(root)
    (root / "data/sources/leaf.yaml").write_text(yaml.safe_dump(SOURCE))
    project.edit("split.folds", 3)
    project.edit("rows", ["cnn"])
    project.edit("train_leanet.points", [1])
    project.edit("package.row", None)
    project.edit("package.point", None)
    project.edit("train_leanet.epochs", 3)
    project.edit("sweep", {"rows": [], "shares": [], "point": 1})
    for tool in ("git", "dvc"):
        assert project.run(tool, "init", "-q").returncode == 0
    (root / ".dvc/config").write_text("[core]\n    analytics = false\n[cache]\n    type = copy\n")
    with chdir(root):
        call(download, "leaf")
    shutil.copytree(root / "data/raw/leaf", root / "photos")  # a folder of the user's own
    project.edit("datasets.leaf.source", "photos")
    for step in STEPS:
        changes = {
            "first": lambda: None,
            "seed": lambda: project.edit("train_leanet.seed", 7),
            "rate": lambda: project.edit("train_leanet.learning_rate", 0.004),
            "row": lambda: project.edit("rows", ["cnn", "cnn-direct"]),
            "relabelled": lambda: relabel(root / "photos"),
            "size": lambda: project.edit("split.image_size", 64),
            "code": lambda: comment(root / "leanet/attention/adn.py"),
        }
        changes[step]()
        with chdir(root):
            check.run(Namespace(out=paths.CHECKED))
            if step in ("first", "relabelled", "size"):
                shutil.rmtree(paths.RAW)
                for script in (download, split, augment, train_unet, anomaly_maps, baselines):
                    call(script, "leaf")
            if step != "code":
                for row in parameters()["rows"]:
                    call(train_leanet, "leaf", row)
        done = project.run("dvc", "commit", "--force", "--with-deps", "train_leanet", "baselines")
        assert done.returncode == 0, done.stderr
        commit(project, step)
    return project


def relabel(folder: Path) -> list[str]:
    """Move the first few images of each class to the other; where they are then."""
    moved = []
    for here, there in (("Positive", "Negative"), ("Negative", "Positive")):
        for file in sorted((folder / here).iterdir())[: RELABELLED // 2]:
            moved.append(folder / there / f"was-{here}-{file.name}".lower())
            file.rename(moved[-1])
    return [file.relative_to(folder).as_posix() for file in moved]


def comment(file: Path) -> None:
    """Change code without effect."""
    file.write_text(file.read_text() + "# A remark.\n")


def commit(project: Project, step: str) -> None:
    ignore = project.root / ".gitignore"
    if "/photos/" not in ignore.read_text():
        ignore.write_text(ignore.read_text() + "/photos/\n")
    for command in (("add", "-A"), ("commit", "-qm", step), ("tag", step)):
        done = project.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", *command)
        assert done.returncode == 0, done.stderr
