"""Comparing commits, against what a script did to them."""

import json
import math
import re
import statistics
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import history
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, Project, _once
from scipy import stats
from sklearn.metrics import average_precision_score

from leanet.core.errors import InputError
from leanet.evaluation.comparison import Comparison, compare, compare_apart
from leanet.revisions import changes, revision
from leanet.revisions.compared import Compared, markdown, plain, several
from leanet.revisions.page import page
from leanet.revisions.revision import find


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Project:
    """The history; not to be changed."""
    return _once(tmp_path_factory, "history", history.make)


@pytest.fixture
def project(made, monkeypatch) -> Project:
    monkeypatch.chdir(made.root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return made


def leanet(project: Project, *command: str) -> subprocess.CompletedProcess:
    """The command of this checkout, in the project."""
    return project.run("python", "-m", "leanet", *command, PYTHONPATH=str(ROOT), PYTHONSAFEPATH="1")


def against(before: str, after: str) -> Compared:
    return Compared(find(before), find(after))


def test_another_seed_is_paired_and_judged(project):
    compared = against("first", "seed")
    assert compared.params == {"train_leanet.seed": (1, 7)}
    assert compared.code == {}
    (set_,) = compared.sets
    assert not set_.images.changed
    assert set_.paired
    assert set(set_.unchanged) == set(set_.rows) - {"cnn"}


def test_another_learning_rate_is_named_with_both_values(project):
    compared = against("seed", "rate")
    assert compared.params == {"train_leanet.learning_rate": (0.001, 0.004)}
    assert "train_leanet.learning_rate: 0.001 → 0.004" in plain(compared.sections)


def test_a_row_that_one_lacks_is_not_judged(project):
    compared = against("rate", "row")
    assert compared.params == {"rows": (["cnn"], ["cnn", "cnn-direct"])}
    (set_,) = compared.sets
    assert {each.verdict for each in set_.differences if each.row == "cnn-direct"} == {"only after"}
    assert set_.primary == "cnn"
    assert {each.verdict for each in set_.differences if each.row == "cnn"} == {"the same in every fold"}


def test_relabelled_images_are_named_and_not_scored(project):
    compared = against("row", "relabelled")
    assert compared.params == {}
    (set_,) = compared.sets
    images = set_.images
    moved = {f"{kind}/was-" for kind in ("Positive", "Negative")}
    assert len(images.relabelled) == history.RELABELLED
    assert {re.match(r"\w+/was-", path)[0] for path in images.relabelled["path after"]} == moved
    assert images.added == images.removed == []
    assert not set(set_.sides("cnn")["path"]) & set(images.relabelled["path after"])
    assert f"{history.RELABELLED} images relabelled: " in plain(compared.sections)


def test_another_size_is_of_the_same_images_in_the_same_folds(project):
    compared = against("relabelled", "size")
    assert compared.params == {"split.image_size": (32, 64)}
    (set_,) = compared.sets
    assert set_.paired
    assert not set_.images.changed


def test_code_without_effect_is_named_and_changes_no_score(project):
    compared = against("size", "code")
    assert compared.params == {}
    assert set(compared.code) == {"leanet/attention"}
    assert {"train_leanet", "baselines"} <= set(compared.code["leanet/attention"])
    (set_,) = compared.sets
    assert set_.unchanged == set_.rows
    assert [len(set_.sides(row)) for row in set_.rows] == [0] * len(set_.rows)


def read(project: Project, tag: str, row: str) -> pd.DataFrame:
    """Predictions of a commit, found by hand: its lock, DVC's listing, DVC's cache."""
    lock = project.run("git", "show", f"{tag}:dvc.lock").stdout
    (folder,) = set(re.findall(rf"path: data/cv/leaf/{row}\n\s+hash: md5\n\s+md5: (\w+)\.dir", lock))
    cache = project.root / ".dvc/cache/files/md5"
    listing = json.loads((cache / folder[:2] / f"{folder[2:]}.dir").read_text())
    (sum_,) = (file["md5"] for file in listing if file["relpath"] == "predictions.csv")
    return pd.read_csv(cache / sum_[:2] / sum_[2:])


@pytest.mark.parametrize(("before", "after"), [("first", "seed"), ("seed", "rate"), ("relabelled", "size")])
def test_the_paired_test_is_that_of_a_slow_and_obvious_one(project, before, after):
    (set_,) = against(before, after).sets
    (ours,) = (each for each in set_.differences if (each.row, each.score) == ("cnn", "average_precision"))
    tables = [read(project, tag, "cnn") for tag in (before, after)]
    by_fold = [
        [average_precision_score(part["label"], part["score"]) for _, part in table.groupby("fold")]
        for table in tables
    ]
    differences = [b - a for a, b in zip(*by_fold, strict=True)]
    assert len(differences) == 3
    assert ours.test.effect == pytest.approx(statistics.fmean(differences))
    error = math.sqrt(statistics.variance(differences) * (1 / 3 + 1 / 2))
    if error:
        reach = stats.t.ppf(0.975, 2) * error
        assert ours.test.low == pytest.approx(statistics.fmean(differences) - reach)
        assert ours.test.high == pytest.approx(statistics.fmean(differences) + reach)
    assert bool(error) == (ours.test.p is not None)


def test_images_that_changed_sides_are_those_of_the_tables(project):
    (set_,) = against("seed", "rate").sets
    before, after = (read(project, tag, "cnn").set_index("path")["score"] for tag in ("seed", "rate"))
    sides = set_.sides("cnn")
    assert set(sides["path"]) == {path for path in before.index if (before[path] > 0.5) != (after[path] > 0.5)}
    assert dict(zip(sides["path"], sides["after"], strict=True)) == pytest.approx(after[sides["path"]].to_dict())


def test_folds_that_differ_are_said_and_not_paired(project):
    project_folds = against("row", "relabelled").sets[0]
    before, after = project_folds.before.manifest, project_folds.after.manifest
    merged = before.merge(after, on="sha256")
    kept = merged[merged["label_x"] == merged["label_y"]]
    assert project_folds.paired == bool((kept["repeat1_x"] == kept["repeat1_y"]).all())
    assert ("paired, fold by fold, on the 29 images" in project_folds.pairing) == project_folds.paired


def test_welch_is_scipys_where_folds_do_not_overlap():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(0.8, 0.1, 5), rng.normal(0.7, 0.05, 4)
    # With so many folds in a repeat, nothing is corrected.
    test = compare_apart(ours.tolist(), theirs.tolist(), (10**9, 10**9))
    expected = stats.ttest_ind(ours, theirs, equal_var=False)
    interval = expected.confidence_interval()
    assert (test.low, test.high, test.p) == pytest.approx((interval.low, interval.high, expected.pvalue), rel=1e-5)
    assert compare_apart([0.5, 0.5], [0.25, 0.25], (2, 2)) == Comparison(0.25, 0.25, 0.25, None)
    paired = compare(ours[:4].tolist(), theirs.tolist(), 4)
    apart = compare_apart(ours[:4].tolist(), theirs.tolist(), (4, 4))
    assert apart.effect == pytest.approx(paired.effect)


def manifest(images: dict[str, tuple[str, int, int]]) -> pd.DataFrame:
    lines = [(path, *rest) for path, rest in images.items()]
    return pd.DataFrame(lines, columns=["path", "sha256", "label", "repeat1"])


def test_images_are_known_by_what_is_in_them():
    before = manifest({"a": ("1", 0, 0), "b": ("1", 0, 1), "c": ("2", 1, 0), "d": ("3", 1, 1)})
    after = manifest({"x/a": ("1", 0, 0), "x/b": ("1", 0, 1), "c": ("2", 0, 0), "e": ("4", 1, 1)})
    found = changes.images(before, after)
    assert (found.added, found.removed) == (["e"], ["d"])
    assert found.relabelled["path after"].tolist() == ["c"]
    assert dict(zip(found.same_label["path before"], found.same_label["path after"], strict=True)) == {
        "a": "x/a",
        "b": "x/b",
    }
    assert found.same_folds(2)
    assert not found.same_folds(3)  # one of them has no image


def test_the_workspace_is_compared_with_head_and_named_where_it_is_out_of_date(made, tmp_path):
    project = made.copy(tmp_path / "project")
    project.edit("train_leanet.epochs", 4)
    done = leanet(project, "compare")
    assert done.returncode == 0, done.stderr
    assert "workspace against HEAD" in done.stdout
    assert "train_leanet.epochs: 3 → 4" in done.stdout
    assert "workspace is out of date: `dvc repro` there would run" in done.stdout
    assert "HEAD is out of date" not in done.stdout


def test_json_holds_what_the_text_says(made):
    done = leanet(made, "compare", "seed", "rate", "--json")
    tree = json.loads(done.stdout)
    assert tree["params"] == {"train_leanet.learning_rate": {"before": 0.001, "after": 0.004}}
    assert "cnn" in tree["datasets"]["leaf"]["rows"]
    for name in ("before", "after"):
        assert len(tree[name]["commit"]) == 40


def test_several_states_make_a_table(project):
    text = plain(several([find(tag) for tag in ("first", "seed", "rate")]))
    table = [line for line in text.splitlines() if "basic CNN" in line]
    assert [line.split()[0] for line in table if "Direct" not in line] == ["first", "seed", "rate"]
    assert "seed: train_leanet.seed: 1 → 7" in text


def test_markdown_has_no_html_of_an_images_name(project):
    sections = against("row", "relabelled").sections
    assert "| row | score |" in markdown(sections)
    assert "## relabelled against row" in markdown(sections)


def test_what_is_nowhere_is_one_line_with_a_remedy(made, tmp_path, monkeypatch):
    clone = Project(tmp_path / "clone")
    assert made.run("git", "clone", "-q", ".", str(clone.root)).returncode == 0
    monkeypatch.chdir(clone.root)
    with pytest.raises(
        InputError, match="first: .* not in DVC's cache.*no remote.*`git checkout first` and `dvc repro`"
    ):
        _ = against("first", "seed").sets
    with pytest.raises(InputError, match="no commit, branch, tag or experiment third"):
        find("third")
    with pytest.raises(InputError, match="no commit"):
        find("--all")


def test_outside_of_a_project_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="run from the project's root"):
        _ = find(revision.WORKSPACE).params


@contextmanager
def counting(folder: Path) -> Iterator[tuple[str, Counter]]:
    """A server of the folder's files on loopback, and the bytes that it has sent of each."""
    sent = Counter()

    class Handler(SimpleHTTPRequestHandler):
        def copyfile(self, source, outputfile):
            content = source.read()
            sent[self.path] += len(content)
            outputfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", sent
    server.shutdown()
    server.server_close()


def test_a_clone_without_data_fetches_predictions_alone(project, tmp_path, monkeypatch):
    expected = against("code", "rate").sets[0].differences
    clone, remote = Project(tmp_path / "clone"), project.root / ".dvc/cache"  # a remote is laid out like it
    for command in (
        ("git", "clone", "-q", ".", str(clone.root)),
        ("git", "-C", str(clone.root), "checkout", "-q", "rate"),
    ):
        assert project.run(*command).returncode == 0
    with counting(remote) as (address, sent):
        assert clone.run("dvc", "remote", "add", "--default", "team", address).returncode == 0
        monkeypatch.chdir(clone.root)
        assert against("origin/HEAD", "workspace").sets[0].differences == expected
    wanted = places(remote, "predictions.csv") | places(remote, "manifest.csv")
    assert {path for path in sent if not path.endswith(".dir")} <= wanted
    whole = sum(file.stat().st_size for file in remote.rglob("*") if file.is_file())
    assert sum(sent.values()) < 100_000 < whole / 10


def places(remote: Path, name: str) -> set[str]:
    """Where the remote keeps the files of that name."""
    folders = [json.loads(file.read_text()) for file in remote.rglob("*.dir")]
    sums = [file["md5"] for folder in folders for file in folder if file["relpath"] == name]
    return {f"/files/md5/{sum_[:2]}/{sum_[2:]}" for sum_ in sums}


def test_an_experiment_is_found_by_its_name(project):
    commit = project.run("git", "rev-parse", "rate").stdout.strip()
    origin = project.run("git", "rev-parse", "seed").stdout.strip()
    ref = f"refs/exps/{origin[:2]}/{origin[2:]}/round-oboe"  # as DVC keeps them
    assert project.run("git", "update-ref", ref, commit).returncode == 0
    assert find("round-oboe").commit == commit


@pytest.mark.parametrize("width", [1200, 360])
def test_the_page_shows_what_changed_sides_with_a_slider(project, tmp_path, browser, width):
    compared = against("relabelled", "size")
    (set_,) = compared.sets
    file = tmp_path / "page.html"
    file.write_text(page(compared))
    tab = browser.new_page(viewport={"width": width, "height": 800})
    asked, errors = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: errors.append(error))
    tab.goto(file.as_uri())
    assert tab.locator(".card").count() == sum(len(set_.sides(row)) for row in set_.rows)
    assert all(url.startswith(("file:", "data:")) for url in asked)
    card = tab.locator(".card").first
    slider, top = card.locator("input"), card.locator(".between img").nth(1)
    for position in (0, 100):
        slider.fill(str(position))
        assert top.evaluate("image => getComputedStyle(image).clipPath") == f"inset(0px 0px 0px {position}%)"
    assert card.locator("img").nth(0).evaluate("image => image.naturalWidth") == 64
    assert card.locator(".between img").nth(0).evaluate("image => image.naturalWidth") == 32  # as it was before
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert errors == []
