"""Drawing, finding, decoding, sampling and splitting images."""

import os
import shutil
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from conftest import call
from PIL import Image
from skimage.color import rgb2lab

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.images import imageset, layout, leaf
from leanet.images.decoding import decode
from leanet.images.imageset import UNKNOWN
from leanet.images.layout import Item
from leanet.images.sampling import assign_folds, possible_folds, sample, thin
from leanet.images.sources import fetch
from leanet.images.writing import write_manifest
from stages import split


@pytest.mark.parametrize(("difficulty", "least"), [("easy", 15), ("medium", 8), ("hard", 5)])
def test_only_chroma_tells_leaves_apart(difficulty, least):
    for seed in range(6):
        normal, anomalous = (
            leaf.draw(np.random.default_rng(seed), 64, anomalous=kind, difficulty=difficulty)
            for kind in (False, True)
        )
        difference = np.abs(rgb2lab(normal.image) - rgb2lab(anomalous.image))
        lightness, chroma = difference[..., 0], difference[..., 1:].max(axis=-1)
        assert lightness.max() < 1.5  # rounding to 8 bits
        assert anomalous.lesions.any()
        assert not normal.lesions.any()
        assert chroma[anomalous.lesions].mean() > least
        assert chroma[~anomalous.lesions].mean() < 1


def test_leaves_come_from_their_seed_at_any_size():
    draw = [leaf.draw(np.random.default_rng(seed), 40, anomalous=True).image for seed in (1, 1, 2)]
    assert draw[0].shape == (40, 40, 3)
    assert np.array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])


def make_set(root, positives=4, negatives=6):
    """A folder of images of coarse noise, names with a space among them."""
    rng = np.random.default_rng(0)
    for name, count in (("Positive", positives), ("Negative", negatives)):
        (root / name).mkdir(parents=True)
        for i in range(count):
            noise = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            noise.resize((40, 30), Image.Resampling.BICUBIC).save(root / name / f"im {i}.png")
    return root


def test_the_manifest_is_the_table_that_pandas_writes(tmp_path):
    names = [
        "plain.png",
        "a, b.png",
        'say "a".png',
        " spaces .png",
        "Blätter 葉.png",
        "line\nbreak.png",
        "007.png",
    ]
    items = []
    for at, name in enumerate(sorted(names)):
        Image.new("RGB", (10 + at, 20), (at, 0, 0)).save(tmp_path / name)
        items.append(Item(name, at % 2))
    groups, folds = np.arange(7) // 2, {"repeat1": np.arange(7) % 3, "repeat2": np.arange(7)[::-1] % 3}
    write_manifest(tmp_path, items, groups, folds, tmp_path / "ours.csv")
    columns = {
        "path": [item.path for item in items],
        "sha256": [sha256((tmp_path / item.path).read_bytes()).hexdigest() for item in items],
        "width": [10 + at for at in range(7)],
        "height": 20,
        "label": [item.label for item in items],
        "group": groups,
    }
    pd.DataFrame(columns | folds).to_csv(tmp_path / "theirs.csv", index=False)
    assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "theirs.csv").read_bytes()


@pytest.mark.parametrize("missing", ["Positive", "Negative"])
def test_a_folder_without_a_class_is_named(tmp_path, missing):
    root = make_set(tmp_path / "set")
    for file in (root / missing).iterdir():
        file.unlink()
    if missing == "Negative":
        with pytest.raises(InputError, match=f"{missing}: no image"):
            layout.read(root)
    else:
        assert {item.label for item in layout.read(root)} == {0}  # an empty Positive/ is none
    (root / missing).rmdir()
    if missing == "Positive":
        assert {item.label for item in layout.read(root)} == {0}  # normal images alone
        (root / "Positve").mkdir()
        shutil.copy(next((root / "Negative").iterdir()), root / "Positve/a.png")
        with pytest.raises(InputError, match="no folder Positive/, but Positve/; expected Positive/"):
            fetch(root, tmp_path / "to")
        return
    with pytest.raises(InputError, match="no folder Negative/; expected Positive/"):
        fetch(root, tmp_path / "to")
    shutil.rmtree(root)
    root.mkdir()
    with pytest.raises(InputError, match="no folder Negative/; expected Positive/"):
        layout.read(root)


def test_what_is_no_image_is_named(tmp_path):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole)
    cut, text = tmp_path / "cut off.jpg", tmp_path / "text.png"
    cut.write_bytes(whole.read_bytes()[:1500])
    text.write_text("no image")
    for file in (cut, text):
        with pytest.raises(InputError, match=f"{file.name}: cannot be decoded"):
            decode(file, 32)
    assert decode(whole, 64).shape == (64, 64, 3)


def test_decoding_resizes_to_a_square(tmp_path):
    file = tmp_path / "half.png"
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 30:] = 255
    Image.fromarray(pixels).save(file)
    small = decode(file, 32)
    assert small.shape == (32, 32, 3)
    assert small[:, :12].max() == 0
    assert small[:, 20:].min() == 255


def test_sampling_takes_the_asked_number_the_same_each_time():
    images = [Item(f"Positive/{i:02}", 1) for i in range(20)] + [Item(f"Negative/{i:02}", 0) for i in range(30)]
    images.sort(key=lambda item: item.path)
    taken = sample(images, (None, 5), seed=1)
    assert [item.label for item in taken].count(1) == 5
    assert [item.label for item in taken].count(0) == 30
    assert taken == sorted(taken, key=lambda item: item.path) == sample(images, (None, 5), seed=1)
    assert taken != sample(images, (None, 5), seed=2)
    # The normals drawn do not depend on how many positives are.
    normals = [image for image in sample(images, (8, 5), seed=1) if not image.label]
    assert normals == [image for image in sample(images, (8, 9), seed=1) if not image.label]
    with pytest.raises(InputError, match="positives is 21, but the set has only 20"):
        sample(images, (None, 21), seed=1)


def test_folds_are_stratified():
    labels = np.array([1] * 13 + [0] * 31)
    folds = assign_folds(labels, np.arange(44), 5, seed=1)
    for label in (0, 1):
        sizes = np.bincount(folds[labels == label], minlength=5)
        assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(
    ("normal", "anomalous", "folds"), [(31, 13, 13), (31, 2, 2), (31, 1, 14), (31, 0, 14), (5, 13, 5), (4, 0, 4)]
)
def test_there_are_as_many_folds_as_images_allow(normal, anomalous, folds):
    """Of 14 that are asked for; anomalous images of one group alone are in one of them."""
    labels = np.array([1] * anomalous + [0] * normal)
    assert possible_folds(labels, np.arange(len(labels)), 14) == folds
    fold_of = assign_folds(labels, np.arange(len(labels)), folds, seed=1)
    assert set(fold_of[labels == 0]) == set(range(folds))
    assert len(set(fold_of[labels == 1])) == (folds if anomalous > 1 else anomalous)


@pytest.mark.parametrize(
    ("groups", "said"), [([0], "1 normal image;"), ([0, 0, 0], "3 normal images, all of one group;")]
)
def test_one_normal_image_is_too_few(groups, said):
    with pytest.raises(InputError, match=f"{said} expected at least 4, of 4 groups"):
        possible_folds(np.array([0] * len(groups) + [1] * 9), np.array([*groups, *range(1, 10)]), 5)


def test_split_leaves_nothing_half_written(tiny):
    make_set(tiny.root / "data/raw/leaf")
    call(split, "leaf")
    (tiny.root / "data/raw/leaf/Positive/im 3.png").write_text("no image")
    before = (tiny.root / "data/split/leaf/manifest.csv").read_bytes()
    with pytest.raises(InputError, match="im 3.png: cannot be decoded"):
        call(split, "leaf")
    assert (tiny.root / "data/split/leaf/manifest.csv").read_bytes() == before
    assert [folder.name for folder in (tiny.root / "data/split").iterdir()] == ["leaf"]


def test_manifest_says_what_the_array_holds(tiny):
    raw = make_set(tiny.root / "data/raw/leaf")
    call(split, "leaf")
    data = imageset.load(tiny.root / "data/split/leaf")
    assert list(data.manifest) == ["path", "sha256", "width", "height", "label", "group", "repeat1"]
    for i, image in data.manifest.iterrows():
        assert np.array_equal(data.images[i], decode(raw / image["path"], 32))
        assert image["sha256"] == imageset.sha256(raw / image["path"])
        assert image["label"] == image["path"].startswith("Positive")
    for fold in data.folds:
        both = np.concatenate([data.trained(fold), data.tested(fold)])
        assert sorted(both) == list(range(10))
        assert not data.labels[data.normals(fold)].any()


def test_repeats_test_every_image_once_each_in_other_folds(tiny):
    make_set(tiny.root / "data/raw/leaf")
    tiny.edit("split.repeats", 3)
    call(split, "leaf")
    data = imageset.load(tiny.root / "data/split/leaf")
    assert data.folds == range(6)
    tested = [frozenset(data.tested(fold)) for fold in data.folds]
    for first, second in zip(tested[::2], tested[1::2], strict=True):
        assert first | second == set(range(10))
        assert not first & second
    assert len(set(tested)) > 2
    for fold in data.folds:
        assert set(data.trained(fold)) == set(range(10)) - tested[fold]
    assert [set(np.flatnonzero(data.first_tested_in == fold)) for fold in (0, 1)] == [
        set(tested[0]),
        set(tested[1]),
    ]


def test_fewer_positives_are_parts_of_more_and_no_normal_goes():
    labels = np.array([1] * 9 + [0] * 20)
    trained = np.arange(2, 29)  # seven positives
    kept = {share: set(thin(trained, labels, share, seed=3, fold=0)) for share in (1, 0.75, 0.5, 0.2)}
    normals = set(range(9, 29))
    assert kept[1] == set(trained)
    assert [len(some - normals) for some in kept.values()] == [7, 5, 3, 1]
    assert all(normals <= some for some in kept.values())
    assert kept[0.2] < kept[0.5] < kept[0.75] < kept[1]
    others = {frozenset(thin(trained, labels, 0.5, seed=3, fold=fold)) for fold in range(5)}
    assert len(others) > 1  # a share drops other images in every fold
    with pytest.raises(InputError, match=r"sweep.shares: 0.1 of 7 training positives leaves none"):
        thin(trained, labels, 0.1, seed=3, fold=0)


def test_masks_are_those_of_the_same_stem(tiny):
    raw = make_set(tiny.root / "data/raw/leaf")
    call(split, "leaf")
    assert imageset.load_masks(tiny.root / "data/split/leaf") is None
    positives = sorted((raw / "Positive").iterdir())
    (raw / "Mask").mkdir()
    truth = np.zeros((64, 64), np.uint8)
    truth[:32, 16:48] = 255
    for positive in positives[1:]:  # the first has none
        Image.fromarray(truth).save(raw / "Mask" / f"{positive.stem}.png")
    call(split, "leaf")
    masks = imageset.load_masks(tiny.root / "data/split/leaf")
    for i, image in imageset.load(tiny.root / "data/split/leaf").manifest.iterrows():
        if not image["label"]:
            assert not masks[i].any()
        elif image["path"].endswith(positives[0].name):
            assert (masks[i] == UNKNOWN).all()
        else:
            assert np.array_equal(masks[i], truth[::2, ::2] // 255)


@pytest.mark.parametrize("fault", ["damaged", "empty"])
def test_a_mask_that_cannot_be_used_stops_or_counts_as_none(tiny, fault):
    raw = make_set(tiny.root / "data/raw/leaf")
    (raw / "Mask").mkdir()
    for i in range(4):
        truth = np.zeros((30, 40), np.uint8)
        truth[10:20, 10:20] = 1  # as some tools write masks
        Image.fromarray(truth * (i > 0 or fault == "damaged")).save(raw / "Mask" / f"im {i}.png")
    if fault == "damaged":
        (raw / "Mask/im 0.png").write_text("no image")
    with pytest.raises(InputError, match=r"1 files cannot be used: .*Mask/im 0.png: .*leave-out in params.yaml"):
        call(split, "leaf")
    tiny.edit("split.undecodable", "leave-out")
    call(split, "leaf")
    masks = imageset.load_masks(tiny.root / "data/split/leaf")
    names = list(imageset.load(tiny.root / "data/split/leaf").manifest["path"])
    assert (masks[names.index("Positive/im 0.png")] == UNKNOWN).all()
    assert 0 < masks[names.index("Positive/im 1.png")].sum() < 32 * 32 / 4
    assert "Masks: for 3 of 4 anomalous images." in paths.findings("leaf").read_text()


def test_maps_of_other_images_are_named(tiny):
    make_set(tiny.root / "data/raw/leaf")
    call(split, "leaf")
    data = imageset.load(tiny.root / "data/split/leaf")
    (tiny.root / "maps").mkdir()
    np.save(tiny.root / "maps/fold0.npy", np.zeros((10, 16, 16), np.float16))
    imageset.seal(tiny.root / "maps")
    with pytest.raises(InputError, match=r"holds maps of 10×16×16, expected 10×32×32"):
        imageset.load_maps(tiny.root / "maps", 0, data)


def test_a_decayed_byte_is_found(tiny):
    """One that no time and no size betrays: DVC does not see it."""
    make_set(tiny.root / "data/raw/leaf")
    call(split, "leaf")
    file = tiny.root / "data/split/leaf/images.npy"
    times, whole = file.stat(), file.read_bytes()
    for at in (5, 200, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[at] ^= 16
        file.write_bytes(damaged)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        with pytest.raises(InputError, match="images.npy is damaged; remove .*data/split/leaf, and `dvc repro`"):
            imageset.load(file.parent)
    file.write_bytes(whole)
    assert len(imageset.load(file.parent).images) == 10


def test_the_papers_potato_set(tiny, potato):
    """Table 2: 50 of the 2000 positives, all 152 normals."""
    tiny.edit("datasets.potato", {"source": str(potato), "positives": 50, "negatives": None})
    (tiny.root / "data/raw").mkdir()
    (tiny.root / "data/raw/potato").symlink_to(potato)
    call(split, "potato")
    manifest = pd.read_csv("data/split/potato/manifest.csv")
    assert manifest["label"].value_counts().to_dict() == {0: 152, 1: 50}
    assert manifest["sha256"].is_unique
