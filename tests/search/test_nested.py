"""A search whose trainings are played: what it may see, what it chooses, what it says of itself."""

import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Project, call

from leanet.attention import cells
from leanet.attention.settings import TrainLEANet
from leanet.core.errors import InputError
from leanet.images.imageset import ImageSet
from leanet.search.nested import STARTUP, Search
from leanet.search.space import Axis
from leanet.training.job import Job, Outcome
from stages import anomaly_maps, augment, download, split, train_unet

FOLDS, COUNT = 4, 48
BASE = TrainLEANet([1], 4, 8, 0.001, 0.0001, False, 30.0, 1)
RATE = Axis.parse("train_leanet.learning_rate=loguniform(1e-5, 1e-1)")


def images(folds: int = FOLDS) -> ImageSet:
    number = np.arange(COUNT)
    manifest = pd.DataFrame({"path": number.astype(str), "label": number % 3 == 0, "repeat1": number // 3 % folds})
    return ImageSet(np.zeros((COUNT, 32, 32, 3), np.uint8), manifest.astype({"label": int}))


@pytest.fixture(autouse=True)
def _no_estimate_of_memory(monkeypatch):
    """It takes longer than all the rest."""
    monkeypatch.setattr(cells, "_memory", lambda *_: 0)


class Played:
    """Trainings whose scores are as good as their learning rate is near to 1e-3, or mere chance."""

    def __init__(self, chance: int | None = None, stop_after: int | None = None):
        self.chance, self.stop_after, self.jobs = chance, stop_after, []

    def __call__(self, jobs: list[Job]) -> list[Outcome]:
        self.jobs += jobs
        if self.stop_after is not None and len(self.jobs) > self.stop_after:
            raise KeyboardInterrupt
        return [self.outcome(job) for job in jobs]

    def outcome(self, job: Job) -> Outcome:
        rate = job.settings["train_leanet"].learning_rate
        labels = job.arrays["labels"][job.arrays["test"]]
        seed = [self.chance or 0, int(rate * 1e9), job.name["fold"], job.name.get("left_out", FOLDS)]
        noise = np.random.default_rng(seed).random(len(labels))
        if self.chance is not None:
            return Outcome({"scores": noise}, {})
        good = max(0.0, 1 - abs(np.log10(rate) + 3) / 2)
        return Outcome({"scores": good * labels + (1 - good) * noise}, {})


def search(folder: Path, run: Played, **changes) -> Search:
    data = changes.pop("data", images())
    maps = {fold: np.full((COUNT, 32, 32), fold, np.float16) for fold in data.folds}
    how = {"recipe": "fast", "precision": "float32", "folder": folder, "run": run, "said": lambda line: None}
    return Search("cnn-direct", 1, [RATE], BASE, data, maps, **how | changes)


def test_no_search_sees_the_images_that_its_best_is_scored_on(tmp_path):
    run, data = Played(), images()
    search(tmp_path, run, data=data).find(3)
    inner = [job for job in run.jobs if "left_out" in job.name]
    assert {job.name["left_out"] for job in inner} == set(range(FOLDS))
    for job in inner:
        left_out, fold = job.name["left_out"], job.name["fold"]
        assert left_out != fold
        assert job.arrays["test"].tolist() == data.tested(fold).tolist()
        seen = set(job.arrays["train"]) | set(job.arrays["test"])
        assert seen.isdisjoint(data.tested(left_out))
        assert set(job.arrays["train"]).isdisjoint(job.arrays["test"])
        assert len(job.arrays["train"]) == COUNT * (FOLDS - 2) / FOLDS
        assert (job.arrays["maps"] == left_out).all()  # by colourisers that never saw it


def test_a_good_learning_rate_is_found_and_its_score_holds(tmp_path):
    found = search(tmp_path, Played()).find(15)
    assert found.best["learning_rate"] == pytest.approx(1e-3, rel=4)
    assert found.nested.mean > 0.9
    assert found.own.mean == 1  # that of params.yaml is the best there is


def test_bad_ones_are_given_up_early(tmp_path):
    run = Played()
    found = search(tmp_path, run).find(15)
    assert found.pruned > 10
    assert found.trials == 15 * (FOLDS + 1)
    of_all = 15 * (FOLDS * (FOLDS - 1) + FOLDS) + 3 * FOLDS
    assert len(run.jobs) < of_all - found.pruned


def test_of_mere_chance_the_best_flatters_itself_and_the_nested_score_does_not(tmp_path):
    found = [search(tmp_path / str(seed), Played(chance=seed)).find(12) for seed in range(1, 5)]
    flattered, nested, own = (
        statistics.fmean(getattr(each, name).mean for each in found) for name in ("flattered", "nested", "own")
    )
    assert flattered > nested + 0.08
    assert abs(nested - own) < 0.06  # both are those of settings that nobody chose by these images


def test_a_search_that_was_cut_off_ends_as_one_that_was_not(tmp_path):
    undisturbed = Played()
    whole = search(tmp_path / "whole", undisturbed).find(STARTUP + 3)
    for stop in (3, len(undisturbed.jobs) // 2, len(undisturbed.jobs) // 4):
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "cut", Played(stop_after=stop)).find(STARTUP + 3)
    assert search(tmp_path / "cut", Played()).find(STARTUP + 3) == whole
    assert search(tmp_path / "cut", Played()).find(STARTUP + 3) == whole  # and nothing is searched again


def test_two_folds_are_too_few(tmp_path):
    with pytest.raises(InputError, match=r"split\.folds is 2, expected at least 3"):
        search(tmp_path, Played(), data=images(2)).find(1)


def test_the_command_says_what_it_found_and_how_to_take_it_over(tiny: Project):
    tiny.edit("split.folds", 3)
    for stage in (download, split, augment, train_unet, anomaly_maps):
        call(stage, "leaf")
    command = ("python", "-m", "leanet", "search", "train_leanet.epochs=int(1, 3)")
    done = tiny.run(*command, "--trials=2", "--row=cnn")
    assert done.returncode == 0, done.stderr
    assert "cnn on leaf, 8 trials" in done.stdout
    assert "on folds that no search saw: " in done.stdout
    assert "dvc exp run -S train_leanet.epochs=" in done.stdout
    assert "trial 2 of 2" in done.stderr
    for wrong, said in (("--row=vgg16", "there is no row vgg16; there are cnn"), ("--trials=0", "at least 1")):
        done = tiny.run(*command, wrong)
        assert done.returncode == 1
        assert said in done.stderr
