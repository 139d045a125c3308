"""The instrument that asks when attention pays: nothing leaks, and its figures are scikit-learn's."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score

from benchmarks.attention import results, table, trials, units, variants
from benchmarks.attention.trials import Trial
from benchmarks.attention.variants import CHANNELS, VARIANTS, Network
from leanet.color.lab import rgb_to_lab
from leanet.images import leaf
from leanet.images.preparation import FILL


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
    assert ((trial.images == FILL).all(axis=-1).mean(axis=(1, 2)) > 0.2).all()


def test_maps_of_an_image_are_by_a_colouriser_that_has_not_seen_it(small, tmp_path, monkeypatch):
    """Each colouriser is known by its folds: in place of maps it gives back which ones it left out."""
    trial = trials.leaves("easy", seed=1)
    asked = []

    def colouriser(_data, left_out, _seed, _folder):
        asked.append(left_out)
        return left_out

    monkeypatch.setattr(trials, "colouriser", colouriser)
    monkeypatch.setattr(
        trials, "maps_of", lambda left_out, lab, _: torch.full((len(lab), 4, 32, 32), float(max(left_out)))
    )
    for kind in ("pair", "own"):
        trials.write_maps(trial, 1, kind, tmp_path)
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


@pytest.mark.parametrize("kind", ["own", "pair", "turns"])
def test_a_perfect_colouriser_has_no_map(kind, monkeypatch):
    monkeypatch.setattr(trials, "recolor", lambda network, lab: lab)
    maps = trials.maps_of(None, rgb_to_lab(torch.rand(2, 3, 16, 16)), kind)
    assert maps.shape == (2, 4, 16, 16)
    assert maps[:, :3].abs().max() < 1e-4


def test_figures_are_those_of_scikit_learn_and_a_threshold_comes_from_the_other_half():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    margins = labels + rng.normal(0, 0.3, 40)
    found = results.figures(labels, margins)
    assert found["AP"] == average_precision_score(labels, margins)
    assert found["F1 at 0.5"] == f1_score(labels, margins > 0)
    assert found["F1 tuned"] > found["F1 at 0.5"]
    shifted = margins + 5 * (np.arange(40) % 2)  # by the other half's threshold, all or none are called anomalous
    assert results.figures(labels, shifted)["F1 tuned"] < 0.7


def test_a_run_adds_up_and_is_read_back(small, tmp_path, monkeypatch):
    monkeypatch.setattr(variants, "EPOCHS", 1)
    monkeypatch.setattr(trials, "UNET", replace(trials.UNET, epochs=1, width=8))
    units.trial_of.cache_clear()
    units.prepare(tmp_path, "easy", 1, ["pair"])
    file = tmp_path / "results.csv"
    for variant in ("plain", "contrast", "histogram", "map alone", "committee"):
        results.add(units.run(tmp_path, "easy", 4, 1, 0, variant), file)
    units.trial_of.cache_clear()
    assert ("easy", 4, 1, 0, "contrast") in results.done(file)
    found = results.read(file)
    assert list(found["score"]) == ["ADN", "ADN", "vote", "CAAN", "ADN", "ADN", "ADN"]
    assert table.table(found).count("| contrast |") == 3
    mean = found.loc[found["variant"] == "histogram", "AP"].mean()
    assert f"| histogram | ADN | {mean:.3f} |" in table.overview(found)
    table.picture(pd.concat([found, found.assign(seed=2)]), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_no_tested_image_has_a_part_in_the_committee(small, monkeypatch):
    """Members say the label, of images that they were not trained on alone; the test images are all wrong."""
    trial = trials.leaves("easy", seed=1)
    train, test = trial.trained(0, 8, seed=1), trial.tested(0)
    asked = []

    def said(_variant, _images, _maps, labels, trained, tested, _seed):
        asked.append((set(trained), set(tested)))
        return {"f": 2.0 * labels[tested] - 1, "g": np.zeros(len(tested))}

    monkeypatch.setattr(units, "margins", said)
    maps = np.ones((len(trial.labels), 4, 32, 32), np.float16)
    found = units.committee(trial, maps, train, test, 1)
    assert average_precision_score(trial.labels[test], found) == 1
    for trained, tested in asked:
        assert trained <= set(train)
        assert not trained & tested
    assert set().union(*(tested for _, tested in asked[:-1])) == set(train)
    assert asked[-1] == (set(train), set(test))


def test_trials_know_who_is_where():
    trial = Trial(np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1]), np.array([0, 1, 1, -1]), (0, 1))
    assert list(trial.tested(0)) == [0, 3]
    assert len(trial.as_set.labels) == 3
