"""The instrument that asks when attention pays: nothing leaks, and its figures are scikit-learn's."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

from benchmarks.attention import table, trials, variants
from benchmarks.attention.trials import Trial
from benchmarks.attention.variants import CHANNELS, VARIANTS, Network
from leanet.images import leaf


@pytest.fixture
def small(monkeypatch) -> None:
    """Trials of few small images."""
    for name, value in {"SIDE": 32, "NORMALS": 12, "MOST_POSITIVES": 8, "TESTED": 4}.items():
        monkeypatch.setattr(trials, name, value)
    monkeypatch.setattr(trials, "PHOTOGRAPHED", (15, 10))
    monkeypatch.setattr(trials, "UNSAMPLED", 3)


def test_fewer_positives_are_parts_of_more_and_no_tested_image_is_trained_on(small):
    trial = trials.leaves("hard", seed=1)
    assert trial.folds == (0,)
    assert np.bincount(trial.labels[trial.tested(0)]).tolist() == [4, 4]
    few, many = (set(trial.trained(0, count, seed=1)) for count in (4, 8))
    assert few < many
    assert not many & set(trial.tested(0))
    assert sum(trial.labels[list(few)]) == 4
    assert sum(trial.labels[list(many)] == 0) == 12


def test_photographs_that_were_not_sampled_are_tested_by_all_folds_and_trained_on_by_none(small, tmp_path):
    for name, count in (("Positive", 14), ("Negative", 15)):
        (tmp_path / name).mkdir()
        for i in range(count):
            drawn = leaf.draw(np.random.default_rng(i), 48, anomalous=name == "Positive")
            Image.fromarray(drawn.image).save(tmp_path / name / f"{i}.png")
    trial = trials.photographs(tmp_path, seed=1, fill=True)
    unsampled = set(np.flatnonzero(trial.fold_of == -1))
    assert len(unsampled) == 3
    for fold in trial.folds:
        assert unsampled < set(trial.tested(fold))
        assert not set(trial.tested(fold)) & set(trial.trained(fold, 8, seed=1))
    assert ((trial.images == trials.FILL).all(axis=-1).mean(axis=(1, 2)) > 0.2).all()


def test_maps_of_an_image_are_by_a_colouriser_that_has_not_seen_it(small, tmp_path, monkeypatch):
    """Each colouriser is known by its folds: in place of colours it gives back which ones it left out."""
    trial = trials.leaves("easy", seed=1)
    asked = []

    def train(_data, left_out, _seed):
        return left_out

    def kinds(left_out, lab):
        asked.append(left_out)
        return torch.full((len(lab), 3, 32, 32), float(max(left_out))), torch.zeros(len(lab), 4, 32, 32)

    monkeypatch.setattr(trials, "train_colouriser", train)
    monkeypatch.setattr(trials, "map_kinds", kinds)
    trials.write_maps(trial, 1, tmp_path)
    by = np.load(tmp_path / "pair0.npy")[:, 0, 0, 0].astype(int)
    own = trial.fold_of != 0
    assert np.array_equal(by[own], trial.fold_of[own])  # the pair of fold 0 and the image's own
    assert (by[~own] == 1).all()
    assert set(asked) == {(0, 1), (0, 2), (0, 3), (0, 4), (0,)}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_attends_where_it_says(name):
    variant = VARIANTS[name]
    network = Network(variant, 64).eval()
    maps = torch.rand(2, CHANNELS[variant.maps], 64, 64)
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        f, g, before = network(images, maps)
        other, *_ = network(images, maps.flip(0))
    assert f.shape == (2, 2)
    assert (g is not None) == (variant.external == "resnet")
    assert [each.shape[2:] for each in before] == [(64 >> p, 64 >> p) for p in variant.points]
    blind = variant.external is None and not variant.input
    assert torch.equal(f, other) == (blind or variant.phi == "zero")


def test_a_trained_variant_ranks_what_its_map_shows(monkeypatch):
    monkeypatch.setattr(variants, "EPOCHS", 4)
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 2
    images = rng.integers(0, 256, (48, 32, 32, 3), dtype=np.uint8)
    maps = (rng.uniform(0, 2, (48, 4, 32, 32)) + 20 * labels[:, None, None, None]).astype(np.float16)
    train, test = np.arange(32), np.arange(32, 48)
    found = variants.margins(VARIANTS["caan"], images, maps, labels, train, test, seed=1)
    assert set(found) == {"f", "g"}
    assert average_precision_score(labels[test], found["g"]) == 1


def test_figures_are_those_of_scikit_learn_and_thresholds_come_from_the_others():
    rng = np.random.default_rng(0)
    scored = []
    for shift in (0, 0, 5):
        labels = np.repeat([0, 1], 20)
        scored.append((labels, labels + rng.normal(0, 0.3, 40) + shift))
    found = table.figures(scored)
    assert found["AP"] == [average_precision_score(*each) for each in scored]
    assert found["F1 tuned"][2] == pytest.approx(2 / 3)  # by the others' threshold all are called anomalous
    assert found["F1 at 0.5"][0] < found["F1 tuned"][1]


def test_trials_know_who_is_where():
    trial = Trial(np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1]), np.array([0, 1, 1, -1]), (0, 1))
    assert list(trial.tested(0)) == [0, 3]
    assert len(trial.as_set.labels) == 3
