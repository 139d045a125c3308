"""Remedies against shortcuts, and images that ask where a network looks."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import call
from PIL import Image
from skimage.color import rgb2lab
from test_data import make_set

from leanet.core.errors import InputError
from leanet.images import counterfactuals, imageset, layout, leaf
from leanet.images.counterfactuals import blur_away
from leanet.images.decoding import decode
from leanet.images.preparation import FILL, balanced, band, filled, find_object, outside, prepare
from leanet.images.settings import Preparation
from stages import split

SIDE = 64
FILLED = Preparation(border=0.05, white_balance=False, background="fill")


def disc(radius: float = 0.5) -> np.ndarray:
    v, u = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    return np.hypot(u, v) < radius


def picture(object_: np.ndarray, ground=(150, 140, 150), color=(60, 120, 40)) -> np.ndarray:
    """An object on a ground, with grain and a shadow to its left."""
    grain = np.random.default_rng(0).normal(0, 3, (SIDE, SIDE, 1))
    shadow = np.roll(object_, -4, axis=1) & ~object_
    image = np.where(object_[..., None], color, np.where(shadow[..., None], np.array(ground) // 3, ground))
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def test_an_object_is_found_without_its_shadow_and_with_its_spots():
    spotted = disc()
    image = picture(spotted)
    image[28:34, 28:34] = (150, 140, 150)  # a spot of the ground's own colour
    found = find_object(image, 0.05)
    assert iou(found, spotted) > 0.9


def test_leaves_are_found():
    for seed in range(8):
        drawn = leaf.draw(np.random.default_rng(seed), SIDE, anomalous=True)
        found = find_object(drawn.image, 0.05)
        green = rgb2lab(drawn.image)[..., 1] < -8
        assert iou(found, green | drawn.lesions) > 0.7


def test_where_there_is_no_object_none_is_found_and_nothing_is_filled():
    plain = picture(np.zeros((SIDE, SIDE), bool))
    image, object_ = prepare(plain, FILLED)
    assert object_ is None
    assert np.array_equal(image, plain)
    everything = picture(np.ones((SIDE, SIDE), bool))
    given = np.zeros((SIDE, SIDE), bool)
    given[10:20, 10:20] = True
    image, object_ = prepare(everything, FILLED, given)
    assert (image[~given] == FILL).all()
    assert np.array_equal(object_, given)


def test_a_filled_background_is_one_colour_that_the_object_has_not():
    image = picture(disc())
    image[32, 32] = FILL
    done = filled(image, disc())
    assert np.array_equal((done == FILL).all(axis=-1), ~disc())
    assert np.abs(done[disc()].astype(int) - image[disc()]).max() == 1


def test_white_balance_makes_the_border_grey_and_keeps_its_lightness():
    image = picture(disc(), ground=(170, 140, 120))
    done = balanced(image, band(SIDE, 0.05))
    before, after = (rgb2lab(each)[band(SIDE, 0.05)].mean(axis=0) for each in (image, done))
    assert np.hypot(*before[1:]) > 10
    assert np.hypot(*after[1:]) < 1
    assert abs(before[0] - after[0]) < 3
    assert not np.array_equal(image[disc()], done[disc()])


def test_what_surrounds_is_the_band_or_all_but_the_object():
    assert outside(None, 20, 0.1).sum() == 20**2 - 16**2
    assert np.array_equal(outside(disc(), SIDE, 0.1), ~disc())


def test_of_an_object_that_is_blurred_away_nothing_is_left():
    red, green = (picture(disc(), color=color) for color in ((200, 30, 30), (30, 200, 30)))
    done = blur_away(red, ~disc())
    assert np.array_equal(done, blur_away(green, ~disc()))
    rim = red.copy()
    rim[disc(0.53) & ~disc()] = (200, 30, 30)  # of the object, taken for surroundings
    assert np.abs(blur_away(rim, ~disc())[disc()].astype(int) - done[disc()]).max() < 3
    assert np.array_equal(done[~disc(0.6)], red[~disc(0.6)])
    ground = np.median(red[band(SIDE, 0.05)], axis=0)
    assert np.abs(done[disc()] - ground).mean() < 50  # the shadow is among what surrounds


def test_surroundings_are_those_of_an_image_of_the_other_class():
    grounds = [(150, 140, 150), (40, 60, 200)]
    images = np.stack([picture(disc(), ground=grounds[label]) for label in (0, 0, 1)])
    made = counterfactuals.make(images, np.stack([~disc()] * 3), np.array([0, 0, 1]), seed=0)
    for label, image, other in zip((0, 0, 1), images, made["exchanged"], strict=True):
        assert np.array_equal(image[disc()], other[disc()])
        corner = other[:4, :4].reshape(-1, 3).mean(axis=0)
        assert np.abs(corner - grounds[1 - label]).max() < 5


def test_a_set_is_prepared_and_its_findings_say_so(tiny):
    raw = tiny.root / "data/raw/leaf"
    for name, count in (("Positive", 6), ("Negative", 8)):
        (raw / name).mkdir(parents=True)
        for i in range(count):
            drawn = leaf.draw(np.random.default_rng(i), 48, anomalous=name == "Positive")
            Image.fromarray(drawn.image).save(raw / name / f"{i}.png")
    mine = np.zeros((48, 48), np.uint8)
    mine[12:36, 12:36] = 255
    (raw / "Object/Negative").mkdir(parents=True)
    Image.fromarray(mine).save(raw / "Object/Negative/0.png")
    tiny.edit("split.background", "fill")
    call(split, "leaf")
    data = imageset.load(tiny.root / "data/split/leaf")
    around = np.stack([data.around(i, 0.05) for i in range(len(data.labels))])
    assert all((image[out] == FILL).all() for image, out in zip(data.images[:], around, strict=True))
    own = list(data.manifest["path"]).index("Negative/0.png")
    assert data.objects[own].sum() == 16 * 16  # 24 of 48 pixels, at 32
    said = " ".join(json.loads((tiny.root / "data/split/leaf/findings.json").read_text())["remarks"])
    assert "Objects marked by their owner: in 1 of 14" in said
    assert "the background filled: in 14 of 14" in said
    altered = counterfactuals.load(tiny.root / "data/split/leaf")
    assert sorted(altered.asked) == list(range(14))
    assert (altered.images["blurred"][:] == FILL).all()


def test_an_object_that_leaves_next_to_nothing_around_it_is_as_unknown():
    objects = np.ones((2, SIDE, SIDE), np.uint8)
    objects[0, 0, 1] = 0
    objects[1][~disc()] = 0
    manifest = pd.DataFrame({"label": [0, 1], "repeat1": [0, 1]})
    data = imageset.ImageSet(np.zeros((2, SIDE, SIDE, 3), np.uint8), manifest, objects)
    assert np.array_equal(data.around(0, 0.05), band(SIDE, 0.05))
    assert np.array_equal(data.around(1, 0.05), ~disc())


def test_a_box_cuts_image_and_masks(tmp_path):
    root = make_set(tmp_path)
    rows = [
        {"path": file.relative_to(root).as_posix(), "label": int(file.parent.name == "Positive"), "box": ""}
        for file in sorted(root.rglob("*.png"))
    ]
    rows[0]["box"] = "5 6 25 22"
    table = root / "images.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    item = next(item for item in layout.read(root) if item.box)
    with Image.open(root / item.path) as image:
        expected = np.asarray(image.convert("RGB").crop((5, 6, 25, 22)).resize((32, 32), Image.Resampling.BICUBIC))
    assert np.array_equal(decode(root / item.path, 32, box=item.box), expected)
    with pytest.raises(InputError, match="the box 0 0 41 30 lies beyond its 40×30 pixels"):
        decode(root / item.path, 32, box=(0, 0, 41, 30))
    rows[0]["box"] = "25 6 5 22"
    pd.DataFrame(rows).to_csv(table, index=False)
    with pytest.raises(InputError, match="line 2: box is '25 6 5 22', expected left top right bottom"):
        layout.read(root)
