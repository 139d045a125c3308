"""Duplicates that are found, and groups that no fold tears apart."""

import io
import itertools
import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from conftest import call
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.images import duplicates
from leanet.images.layout import Item
from leanet.images.leaf import draw
from leanet.images.sampling import assign_folds, possible_folds
from stages import split


def leaf(seed, side=96, anomalous=False):
    return Image.fromarray(draw(np.random.default_rng(seed), side, anomalous=anomalous).image)


def compressed(image):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    return Image.open(stream).convert("RGB")


ALTERED = {
    "compressed": compressed,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "paler": lambda image: ImageEnhance.Contrast(image).enhance(0.8),
    "smaller": lambda image: image.resize((48, 48)).resize(image.size),
    "turned by a degree": lambda image: image.rotate(
        1, Image.Resampling.BICUBIC, fillcolor=image.getpixel((0, 0))
    ),
}


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_copy_is_a_near_duplicate_and_other_leaves_are_not(how):
    images = [leaf(seed) for seed in range(12)]
    found = duplicates.find(np.stack([np.asarray(image) for image in [*images, ALTERED[how](images[3])]]))
    assert found == duplicates.Duplicates([], [(3, 12)])


def test_a_copy_is_an_exact_duplicate():
    images = np.stack([np.asarray(leaf(seed)) for seed in (0, 1, 2, 3, 4, 5, 6, 4)])
    assert duplicates.find(images) == duplicates.Duplicates([(4, 7)], [])


def slow_pairs(bits, most):
    """Each hash with each, bit by bit."""
    pairs = itertools.combinations(range(len(bits)), 2)
    return [(i, j, d) for i, j in pairs if (d := int((bits[i] != bits[j]).sum())) <= most]


def flipped(hash_, count, rng):
    return hash_ ^ np.isin(np.arange(hash_.size), rng.choice(hash_.size, count, replace=False))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("at_once", [1, 5, 2**18])
def test_near_pairs_are_those_of_each_hash_with_each(monkeypatch, seed, alike, at_once):
    monkeypatch.setattr(duplicates, "AT_ONCE", at_once)
    rng = np.random.default_rng(seed)
    likely = rng.choice([0.02, 0.5, 0.97], 256) if alike else 0.5  # bits that most pictures share
    bits = rng.random((16, 256)) < likely
    copies = [flipped(bits[i], count, rng) for i, count in enumerate((0, 1, 29, 30, 31, 30, 31, 90))]
    bits = np.stack([*bits, *copies])[rng.permutation(24)]
    found = np.concatenate([*duplicates.near_pairs(np.packbits(bits, axis=1), 30)])
    assert sorted(map(tuple, found.tolist())) == slow_pairs(bits, 30)
    assert {29, 30} <= set(found[:, 2])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_hashes_have_no_near_pairs(count):
    hashes = np.packbits(np.arange(256 * count).reshape(count, 256) < 256, axis=1)
    assert list(duplicates.near_pairs(hashes, 30)) == []
    images = np.stack([np.asarray(leaf(seed)) for seed in range(2)])[:count]
    assert duplicates.find(images) == duplicates.Duplicates([], [])


@pytest.mark.parametrize("held", [1, 50, 2**20])
def test_as_few_pairs_as_join_all_that_are_near_and_the_nearest(monkeypatch, held):
    monkeypatch.setattr(duplicates, "HELD", held)
    rng = np.random.default_rng(0)
    chains = []
    for length in (12, 7, 1):
        chain = [rng.random(256) < 0.5]
        while len(chain) < length:
            chain.append(flipped(chain[-1], rng.integers(4, 20), rng))
        chains += chain
    bits = np.stack(chains)[rng.permutation(20)]
    all_pairs = [(i, j) for i, j, _ in slow_pairs(bits, 30)]
    kept = duplicates._joining(duplicates.near_pairs(np.packbits(bits, axis=1), 30), len(bits))
    assert len(kept) == 11 + 6 < len(all_pairs)
    items = [Item(str(i), 0) for i in range(20)]
    few = kept[:, :2].tolist()
    assert few == sorted(few)
    assert np.array_equal(duplicates.groups(items, few), duplicates.groups(items, all_pairs))
    lengths = sorted(d for _, _, d in slow_pairs(bits, 30))
    reached, least = duplicates.groups(items, []), 0
    for most in sorted(set(lengths)):  # Kruskal's sum, by way of the groups
        joined = duplicates.groups(items, [(i, j) for i, j, d in slow_pairs(bits, most)])
        least += most * (len(set(reached)) - len(set(joined)))
        reached = joined
    assert kept[:, 2].sum() == least


def test_many_images_of_one_picture_make_few_pairs(monkeypatch):
    monkeypatch.setattr(duplicates, "HELD", 2**17)
    copies = np.repeat(np.asarray(leaf(1, side=32))[None], 2000, axis=0)
    nearly = copies.copy()
    nearly[:, 0, 0] = np.stack(np.unravel_index(np.arange(2000), (13, 13, 13)), -1)
    tracemalloc.start()
    try:
        found = duplicates.find(copies)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
        near = duplicates.find(nearly)  # two million pairs
        assert tracemalloc.get_traced_memory()[1] < 120 * 2**20
    finally:
        tracemalloc.stop()
    assert found == duplicates.Duplicates([(0, i) for i in range(1, 2000)], [])
    assert (len(near.exact), len(near.near)) == (0, 1999)


def test_groups_join_what_was_given_and_what_was_found():
    items = [Item(str(i), 0, group) for i, group in enumerate(["a", None, "a", "b", None, "b", None])]
    groups = duplicates.groups(items, [(2, 4), (4, 5)])
    together = {frozenset(np.flatnonzero(groups == group)) for group in groups}
    assert together == {frozenset({0, 2, 3, 4, 5}), frozenset({1}), frozenset({6})}
    assert len(set(duplicates.groups(items[1:2] + items[4:5], []))) == 2


def uneven(labels, fold_of, folds):
    """How often a fold lacks a class, and the largest difference between two folds in images of one class."""
    has = np.array([[(labels[fold_of == fold] == label).sum() for fold in range(folds)] for label in (0, 1)])
    return int((has == 0).sum()), int(np.ptp(has, axis=1).max())


@st.composite
def grouped_labels(draw):
    """Groups of one class or of both, as lists of labels, few enough to try all ways of dealing them out."""
    folds = draw(st.integers(2, 3))
    sizes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(any), min_size=folds, max_size=7)
    return folds, [[0] * zeros + [1] * ones for zeros, ones in draw(sizes)]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(grouped_labels(), st.integers(0, 2**32 - 1))
def test_groups_never_straddle_folds_which_are_even_where_groups_allow_it(case, seed):
    folds, members = case
    labels = np.array([label for group in members for label in group])
    groups = np.repeat(np.arange(len(members)), [len(group) for group in members])
    normal, anomalous = (len(np.unique(groups[labels == label])) for label in (0, 1))
    if normal < 4:
        with pytest.raises(InputError, match="expected at least 4, of 4 groups"):
            possible_folds(labels, groups, folds)
        return
    folds = possible_folds(labels, groups, folds)
    assert folds == min(folds, normal, anomalous if anomalous > 1 else folds)
    fold_of = assign_folds(labels, groups, folds, seed)
    assert all(len(set(fold_of[groups == group])) == 1 for group in groups)
    assert set(fold_of) <= set(range(folds))
    if len(labels) > len(members):
        ways = itertools.product(range(folds), repeat=len(members) - 1)
        lacking, spread = min(uneven(labels, np.array([0, *way])[groups], folds) for way in ways)
        assert uneven(labels, fold_of, folds) <= (lacking, max(spread, 1))
        assert not lacking or len(set(groups[labels == 1])) < folds


def test_folds_of_single_images_are_scikit_learns():
    from sklearn.model_selection import StratifiedKFold

    labels = np.array([1] * 13 + [0] * 31)
    fold_of = assign_folds(labels, np.arange(44)[::-1], 5, seed=9)
    for fold, (_, tested) in enumerate(StratifiedKFold(5, shuffle=True, random_state=9).split(labels, labels)):
        assert set(np.flatnonzero(fold_of == fold)) == set(tested)


def test_many_groups_are_dealt_out_evenly():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        groups = np.sort(rng.integers(0, 400, 2000))
        labels = (groups % 4 == 0).astype(int)
        fold_of = assign_folds(labels, groups, 5, seed)
        assert uneven(labels, fold_of, 5) <= (0, 1)


def test_no_fold_lacks_a_class_where_a_group_is_most_of_the_images():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        kinds = {0: lambda size: [0] * size, 1: lambda size: [1] * size, 2: lambda size: [0] * size + [1]}
        members = [
            kinds[int(kind)](int(rng.choice([1, 3, 10, 40]))) for kind in [0, 0, *rng.integers(0, 3, 5), 1, 2]
        ]
        labels = np.array([label for group in members for label in group])
        groups = np.repeat(np.arange(len(members)), [len(group) for group in members])
        if len(set(groups[labels == 0])) < 4:
            continue
        folds = possible_folds(labels, groups, 5)
        assert uneven(labels, assign_folds(labels, groups, folds, seed), folds)[0] == 0


def test_too_few_groups_make_fewer_folds():
    labels, groups = np.array([1] * 6 + [0] * 6), np.array([0, 0, 1, 1, 2, 2, *range(3, 9)])
    assert possible_folds(labels, groups, 4) == 3


def plant(root, leaves):
    """A set with an exact and a near duplicate, one of them across the classes."""
    for name, image in leaves.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(root / name)
    return root


def planted():
    leaves = {f"Negative/n{i}.png": leaf(i) for i in range(9)}
    leaves |= {f"Positive/p{i}.png": leaf(100 + i, anomalous=True) for i in range(6)}
    leaves["Negative/copy of n2.bmp"] = leaves["Negative/n2.png"]
    leaves["Negative/n5 again.png"] = compressed(leaves["Negative/n5.png"])
    leaves["Positive/n7 once more.png"] = compressed(leaves["Negative/n7.png"])
    return leaves


def test_planted_duplicates_are_found_named_and_kept_together(tiny):
    plant(tiny.root / "data/raw/leaf", planted())
    tiny.edit("split.image_size", 64)
    call(split, "leaf")
    folder = tiny.root / "data/split/leaf"
    findings = json.loads((paths.findings("leaf")).read_text())
    assert findings["exact"] == [["Negative/copy of n2.bmp", "Negative/n2.png"]]
    assert findings["near"] == [
        ["Negative/n5 again.png", "Negative/n5.png"],
        ["Negative/n7.png", "Positive/n7 once more.png"],
    ]
    assert findings["groups"] == 3
    assert any("of which one is normal, 1:" in remark for remark in findings["remarks"])
    manifest = pd.read_csv(folder / "manifest.csv").set_index("path")
    for one, other in findings["exact"] + findings["near"]:
        assert manifest.loc[one, "group"] == manifest.loc[other, "group"]
        assert manifest.loc[one, "repeat1"] == manifest.loc[other, "repeat1"]
    assert manifest["group"].nunique() == len(manifest) - 3
    assert (manifest[["width", "height"]] == 96).all(axis=None)


def test_a_picture_in_both_classes_is_refused(tiny):
    leaves = planted()
    leaves["Positive/wrong.png"] = leaves["Negative/n3.png"]
    plant(tiny.root / "data/raw/leaf", leaves)
    with pytest.raises(
        InputError, match=r"both classes: Negative/n3.png is Positive/wrong.png; remove the wrong one"
    ):
        call(split, "leaf")
    assert not (tiny.root / "data/split/leaf").exists()


def test_plain_folds_are_a_parameter_and_the_report_says_what_they_ignore(tiny):
    plant(tiny.root / "data/raw/leaf", planted())
    tiny.edit("split.groups", "apart")
    call(split, "leaf")
    manifest = pd.read_csv(tiny.root / "data/split/leaf/manifest.csv")
    labels = manifest["label"].to_numpy()
    assert list(manifest["repeat1"]) == list(assign_folds(labels, np.arange(len(labels)), 2, seed=1))
    remarks = json.loads(paths.findings("leaf").read_text())["remarks"]
    assert any("split.groups: apart" in remark for remark in remarks)


def test_the_manifest_does_not_depend_on_the_order_of_the_file_system(tiny):
    leaves = planted()
    manifests = []
    for names in (list(leaves), list(reversed(leaves))):
        root = tiny.root / "data/raw/leaf"
        plant(root, {name: leaves[name] for name in names})
        call(split, "leaf")
        manifests.append((tiny.root / "data/split/leaf/manifest.csv").read_bytes())
        for name in names:
            (root / name).unlink()
    assert manifests[0] == manifests[1]


def test_files_that_are_no_image_are_all_named_at_once_or_left_out(tiny):
    root = plant(tiny.root / "data/raw/leaf", planted())
    for name in ("Negative/n0.png", "Positive/p1.png", "Negative/n8.png"):
        (root / name).write_text("no image")
    with pytest.raises(InputError, match=r"3 files cannot be used: .*n0.png.*n8.png.*p1.png.*: leave-out"):
        call(split, "leaf")
    tiny.edit("split.undecodable", "leave-out")
    call(split, "leaf")
    folder = tiny.root / "data/split/leaf"
    manifest = pd.read_csv(folder / "manifest.csv")
    assert len(manifest) == 15
    assert np.load(folder / "images.npy").shape == (15, 32, 32, 3)
    findings = json.loads((paths.findings("leaf")).read_text())
    assert sorted(findings["left_out"]) == ["Negative/n0.png", "Negative/n8.png", "Positive/p1.png"]
    assert findings["remarks"][0].startswith("Left out, since they cannot be used: ")
