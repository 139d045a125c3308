"""The workflow files of docs/ci, by a runner's commands, a git server on this machine and a stand-in for CML."""

import stat
from pathlib import Path

import yaml
from conftest import ROOT, Project

CI = ROOT / "docs/ci"


def script(service: str) -> str:
    """What the job runs once the environment is there."""
    tree = yaml.safe_load((CI / f"{service}.yml").read_text())
    job = tree["jobs"]["compare"] if service == "github" else tree["compare"]
    steps = [step.get("run") for step in job["steps"]] if service == "github" else job["script"]
    return steps[-1]


def test_both_services_run_the_same():
    assert script("github").splitlines() == script("gitlab").splitlines()


def test_a_branch_is_brought_up_to_date_and_compared(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    server, remote, runner = tmp_path / "server.git", tmp_path / "remote", Project(tmp_path / "runner")
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    project.edit("package.criterion", "best-f1")
    for command in (
        ("dvc", "remote", "add", "--default", "team", str(remote)),
        ("git", "add", "-A"),
        ("git", *author, "commit", "-qm", "results"),
        ("git", "branch", "-M", "main"),
        ("dvc", "push", "--quiet"),
        ("git", "clone", "-q", "--bare", ".", str(server)),
        ("git", "remote", "add", "origin", str(server)),
        ("git", "checkout", "-qb", "recall"),
    ):
        done = project.run(*command)
        assert done.returncode == 0, done.stderr
    project.edit("package.criterion", "recall 0.9")  # not reproduced: that is the runner's part
    for command in (("git", *author, "commit", "-qam", "more recall"), ("git", "push", "-q", "origin", "recall")):
        assert project.run(*command).returncode == 0
    assert project.run("git", "clone", "-q", "--branch", "recall", str(server), str(runner.root)).returncode == 0

    said = tmp_path / "comment.md"
    for name, text in (("cml", f'cp "$3" {said}'), ("leanet", 'exec python -m leanet "$@"')):
        stand_in(tmp_path / "bin" / name, text)
    stand_in(runner.root / ".venv/bin/activate", f"export PATH={tmp_path / 'bin'}:$PATH")
    with (runner.root / ".git/info/exclude").open("a") as exclude:
        exclude.write(".venv\n")
    done = runner.run("bash", "-ec", script("github"), TARGET="origin/main")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Running stage 'package'" in done.stdout
    assert "Running stage 'train" not in done.stdout
    text = said.read_text()
    assert "## workspace against origin/main" in text
    assert "package.criterion: best-f1 → recall 0.9" in text
    assert "the same scores for every image" in text
    assert "out of date" not in text


def stand_in(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
