"""Every property of pictures by which classes may differ: planted alone, it is found, and no other."""

import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from leanet import cli
from leanet.images.decoding import taken

COUNT = 24  # images of each class


def plant(root, *, positives=COUNT, border=0, brightness=0, size=32, suffix="png", day="2020:01:01 10:00:00"):
    """A set whose anomalous images differ from the normal ones by what the arguments say."""
    for label, name in enumerate(("Negative", "Positive")):
        (root / name).mkdir(parents=True)
        for i in range(positives if label else COUNT):
            rng = np.random.default_rng([label, i])
            side = size if label else 32
            pixels = rng.integers(60, 160, (side, side, 3)) + rng.integers(-40, 40) + brightness * label
            pixels[:2, :, 0] += border * label
            exif = Image.Exif()
            exif[0x0132] = day if label else "2020:01:01 10:00:00"
            file = root / name / f"{i}.{suffix if label else 'png'}"
            Image.fromarray(pixels.astype(np.uint8)).save(file, exif=exif)
    return root


def check(root, monkeypatch, capsys, *options) -> dict[str, tuple[float, bool]]:
    """What the command prints: the AUROC of each property, and whether it is more than chance."""
    monkeypatch.setattr(sys, "argv", ["leanet", "check-images", *options, str(root)])
    cli.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    return {line[2:22].strip(): (float(line[22:26]), line.endswith("chance")) for line in lines}


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ({}, set()),
        ({"border": 50}, {"border colours", "contrast"}),
        ({"size": 40}, {"width", "height"}),
        ({"suffix": "tif"}, {"file type"}),
        ({"day": "2021:05:05 10:00:00"}, {"date taken"}),
        ({"brightness": 50}, {"brightness", "border colours"}),
    ],
)
def test_what_is_planted_is_found(planted, found, tmp_path, monkeypatch, capsys):
    said = check(plant(tmp_path / "set", **planted), monkeypatch, capsys)
    shortcuts = {name for name, (_, more) in said.items() if more}
    assert found <= shortcuts
    if not planted or "border" in planted or "day" in planted:
        assert shortcuts == found
    assert all(0.5 <= auroc <= 1 for auroc, _ in said.values())


def test_brightness_is_ranked_as_scikit_learn_ranks_it(tmp_path, monkeypatch, capsys):
    root = plant(tmp_path / "set", brightness=1)
    means, labels = [], []
    for label, name in enumerate(("Negative", "Positive")):
        for i in range(COUNT):
            pixels = np.asarray(Image.open(root / name / f"{i}.png")) / 255
            means.append((pixels @ [0.2125, 0.7154, 0.0721]).mean())
            labels.append(label)
    auroc = roc_auc_score(labels, means)
    shown, _ = check(root, monkeypatch, capsys)["brightness"]
    assert shown == pytest.approx(max(auroc, 1 - auroc), abs=0.02)


def test_what_cannot_be_read_is_named_and_left_out(tmp_path, monkeypatch, capsys):
    root = plant(tmp_path / "set")
    (root / "Negative/0.png").write_bytes(b"no image")
    monkeypatch.setattr(sys, "argv", ["leanet", "check-images", str(root)])
    cli.main()
    said = capsys.readouterr().out
    assert "left out" in said
    assert "0.png" in said
    assert f"{COUNT} anomalous and {COUNT - 1} normal images" in said


def test_a_filled_background_takes_the_border_out_of_it(tmp_path, monkeypatch, capsys):
    """Leaves on grounds of two colours; leaves of one kind are larger."""
    root = tmp_path / "set"
    for label, name in enumerate(("Negative", "Positive")):
        (root / name).mkdir(parents=True)
        for i in range(COUNT):
            v, u = np.mgrid[-1:1:64j, -1:1:64j]
            inside = np.hypot(u, v) < 0.4 + 0.01 * (i % 5) + 0.1 * label
            ground = np.array([150, 140, 150]) + np.array([8, 0, -8]) * label
            pixels = np.where(inside[..., None], (60, 120, 40), ground)
            noise = np.random.default_rng([label, i]).normal(0, 3, (64, 64, 1))
            Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(root / name / f"{i}.png")
    assert check(root, monkeypatch, capsys)["border colours"] == (1, True)
    monkeypatch.setattr(sys, "argv", ["leanet", "check-images", str(root)])
    cli.main()
    assert "Try --fill: it shows what is left if only the object is seen" in capsys.readouterr().out
    filled = check(root, monkeypatch, capsys, "--fill")
    assert not filled["border colours"][1]
    assert filled["size of the object"][1]


def test_few_images_make_fewer_folds_and_one_is_too_few(tmp_path, monkeypatch, capsys):
    assert "border colours" in check(plant(tmp_path / "three", positives=3), monkeypatch, capsys)
    monkeypatch.setattr(sys, "argv", ["leanet", "check-images", str(plant(tmp_path / "one", positives=1))])
    with pytest.raises(SystemExit, match="24 normal and 1 anomalous images can be read; expected two or more"):
        cli.main()


def test_damaged_metadata_say_nothing(tmp_path):
    file = tmp_path / "x.jpg"
    exif = Image.Exif()
    exif[0x0132], exif[0x0110] = "2020:01:01 10:00:00", "A camera"
    Image.new("RGB", (8, 8)).save(file, exif=exif)
    assert taken(file) == ("2020:01:01 10:00:00", "A camera")
    raw = file.read_bytes()
    at = raw.index(b"Exif") + 6
    file.write_bytes(raw[:at] + b"\xff" * 8 + raw[at + 8 :])
    assert taken(file) == (None, None)
