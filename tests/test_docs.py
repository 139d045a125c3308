"""The commands of README and docs: every ```sh block, run line by line in a small project."""

import re
import shutil

import pytest
import yaml
from conftest import ROOT, Project

QUICK = {  # in place of what a command sets, so that it takes seconds
    "sweep.rows": [],
    "rows": ["cnn-direct"],
    "split.image_size": 32,
    "split.folds": 2,
    "train_unet.epochs": 1,
    "train_leanet.epochs": 2,
    "train_leanet.points": [1],
    "sweep.shares": [0.5],
    "sweep.point": 1,
    "package.row": None,
    "package.point": None,
}
PAGES = sorted(
    file.relative_to(ROOT).as_posix()
    for file in (ROOT / "README.md", ROOT / "benchmarks/README.md", *ROOT.glob("docs/*.md"))
)


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.+?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def commands(*pages: str) -> list[str]:
    """Those of the pages, one behind the other; what a later page repeats is there once."""
    lines = [line for page in pages for line in "".join(blocks(page, "sh")).splitlines()]
    return list(dict.fromkeys(command for line in lines if (command := line.split("  #")[0].strip())))


@pytest.fixture
def project(attending, tmp_path) -> Project:
    """A finished project in git, with the folders that the pages name."""
    project = attending.copy(tmp_path / "project")
    root = project.root
    for file in (ROOT / "data/sources").glob("*.yaml"):
        if file.stem != "leaf":
            shutil.copy(file, root / "data/sources")
    shutil.copytree(root / "data/raw/leaf", root / "my-parts")
    (root / "new-parts").mkdir()
    for kind in ("Positive", "Negative"):
        shutil.copy(next((root / "my-parts" / kind).iterdir()), root / f"new-parts/{kind}.png")
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/activate").touch()  # the environment is that of the test
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["add", "-A"], ["commit", "-qm", "first"]):
        assert project.run(*git, *command).returncode == 0
    return project


THE_LEAVES = ("leanet use leaf", "leanet settings quick")  # which are there already, in small
TOGETHER = ("README.md", "docs/detector.md")  # both go the same way, of minutes
ALONE = [(page,) for page in PAGES if page not in TOGETHER and commands(page)]


@pytest.mark.parametrize("pages", [TOGETHER, *ALONE], ids=" ".join)
def test_every_command_runs(pages, attending, project):
    tracking = {"LEANET_TRACKING": "on" if pages == ("docs/team.md",) else "off"}
    for command in commands(*pages):
        done = project.run("bash", "-c", command, **tracking)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if command in THE_LEAVES:
            shutil.copy(attending.root / "params.yaml", project.root)
            for key in ("row", "point"):  # not those of other rows
                project.edit(f"package.{key}", None)
        elif "settings" in command or "leanet use" in command:
            for key, value in QUICK.items():
                project.edit(key, value)
    if pages == TOGETHER:
        assert {file.name for file in (project.root / "seen").iterdir()} >= {"Positive.png-map.png"}
        assert (project.root / "found.csv").read_text().count("\n") == 3
        assert (project.root / "detector.onnx").stat().st_size > 10**6
        (code,) = blocks("docs/detector.md", "python")
        (project.root / "block.py").write_text(code)
        done = project.run("python", "block.py")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_code_is_of_a_kind_that_is_run_or_shown(page):
    kinds = re.findall(r"^```(\w*)$", (ROOT / page).read_text(), re.MULTILINE)[::2]
    assert set(kinds) <= {"sh", "text", "yaml", "python", "mermaid", "bibtex"}
    for block in blocks(page, "yaml"):
        yaml.safe_load(block)
    for block in blocks(page, "python"):
        compile(block, page, "exec")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for link in re.findall(r"\[[^\]`]+\]\((?!https?://)([^)]+)\)", text):
        file, _, heading = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}, link


def test_the_targets_that_the_readme_names_are_there():
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE)) <= targets
