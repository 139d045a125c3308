"""The benchmarks measure what they say."""

import json
import sys
import time
from functools import partial
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from benchmarks import decoding, layers, memory, scale, study, time_to_f1, training, tricks
from benchmarks.contender import duel, together
from benchmarks.line import Line
from leanet.attention.detect import Samples, train_cell
from leanet.attention.leanet import LEANet, build
from leanet.cli.params import TrainLEANet
from leanet.core import device as devices
from leanet.evaluation.baselines import BASELINES
from leanet.images.reading import read
from leanet.training.job import Place

pytestmark = pytest.mark.alone


def sleeper(seconds: float):
    return partial(time.sleep, seconds)


def broken():
    raise OSError("no such thing")


def test_a_duel_gives_medians_and_their_ratio():
    result = duel(partial(sleeper, 0.01), partial(sleeper, 0.5), turns=3)
    assert len(result.ratios) == 3
    assert 0.01 <= result.ours < 0.5 <= result.other
    assert 1 < result.ratio <= 50


def test_copies_run_at_once():
    result = duel(partial(sleeper, 1), partial(sleeper, 0.01), turns=1, copies=3)
    assert 1 <= result.ours < 3


def test_so_many_at_once_are_timed_by_their_number():
    seconds = together(partial(sleeper, 1), (1, 3))
    assert list(seconds) == [1, 3]
    assert all(1 <= each < 3 for each in seconds.values())  # three, one after another, would take as long


def test_a_contender_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no such thing"):
        duel(partial(sleeper, 0.01), broken, turns=1)


@pytest.mark.parametrize(
    ("wanted", "figure", "holds"),
    [("≥ 2.5", 2.6, True), ("≥ 2.5", 2.4, False), ("≤ 0.1", 0.2, False), ("", 1, None)],
)
def test_a_line_knows_whether_it_holds(wanted, figure, holds):
    assert Line("x", 1, "s", "y", 2, "times", figure, wanted).holds is holds


def losses(*off: str) -> list[float]:
    """Of a short training in float32, before rounding grows, with the tricks `off` turned off."""
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8)
    chosen = np.arange(12)
    settings = TrainLEANet([2], 2, 4, 1e-3, 1e-3, pretrained=False, map_scale=30, seed=0)
    with tricks.without("bf16", *off) as (device, dtype):
        assert dtype is torch.float32
        data = Samples.on(device, images, images[..., 0].astype(np.float16), chosen % 2, 30, chosen)
        place = Place(device, checkpoint=None, on_epoch=lambda loss: None)
        return train_cell("cnn-resnet", 2, data, settings, place, recipe="fast", fold=0, dtype=dtype)[1]


def test_tricks_change_speed_and_nothing_else():
    with patch.object(devices, "select", lambda *_: torch.device("cpu")):
        assert losses(*tricks.TRICKS) == pytest.approx(losses(), rel=1e-3)


def test_turning_tricks_off_ends_with_the_block():
    before = torch.optim.Adam, torch.channels_last, devices._keep_memory
    with tricks.without(*tricks.TRICKS):
        assert all(
            now is not then
            for now, then in zip(
                (torch.optim.Adam, torch.channels_last, devices._keep_memory), before, strict=True
            )
        )
    assert (torch.optim.Adam, torch.channels_last, devices._keep_memory) == before


def test_operations_of_a_step_are_those_counted_by_hand():
    """ResNet18 is 1.8 billion multiply-adds at 224×224 (He et al. 2016, Table 1), the CAAN has half its blocks.

    A step is three times its forward pass, less the first layers' gradient of their inputs.
    """
    forward = 2 * 1.814e9 * (256 / 224) ** 2 * training.BATCH
    assert 3 * forward < training.step_flops("resnet18-resnet", 256) < 3 * 1.6 * forward


def test_an_epoch_of_a_benchmark_is_one_at_the_whole_side(monkeypatch):
    """The practitioner's loop and ours take the same images."""
    monkeypatch.setattr(training, "COUNTS", {128: 4})
    sides, forward = [], LEANet.forward

    def watched(network, images, maps):
        sides.append(images.shape[3])
        return forward(network, images, maps)

    monkeypatch.setattr(LEANet, "forward", watched)
    training.our_train_leanet("resnet18", 128)()
    assert sides[-1] == 128
    training.our_train_unet(128)()


def test_operations_of_layers_are_those_of_the_whole_step():
    """Layer by layer they add up to what torch counts, but for the last, wide layers."""
    every = layers.layers(
        build("resnet18-resnet", side=64, point=training.POINT),
        [torch.rand(training.BATCH, 3, 64, 64), torch.rand(training.BATCH, 1, 64, 64)],
        torch.float32,
    )
    assert len(every) == 20 + 12  # the CAAN has a block where ResNet18 has two
    assert sum(layer.flops for layer in every) == pytest.approx(
        training.step_flops("resnet18-resnet", 64), rel=0.01
    )


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_peak_memory_is_the_stages_own(tmp_path):
    """A stage that only starts is small, however large the process that measures it."""
    ballast = bytearray(b"1") * 2**28
    memory.make_project(tmp_path, 40)
    small = memory.peak(tmp_path, "stages.split", "noise")
    assert len(ballast) / 2**20 > small > 50
    assert (tmp_path / "data/split/noise/images.npy").stat().st_size > 40 * memory.SIDE**2 * 3


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_decoding_is_measured_beside_the_same_images_decoded_whole(tmp_path, monkeypatch):
    for name, value in {"WIDTH": 1200, "HEIGHT": 900, "DRAWN": 2, "FEW": 3, "MANY": 6}.items():
        monkeypatch.setattr(decoding, name, value)
    decoding.make_files(tmp_path)
    files = sorted(tmp_path.iterdir())
    ours = np.concatenate(list(read(files, decoding.SIDE, 6))).astype(float)
    whole = np.stack([decoding.by_pillow(file) for file in files]).astype(float)
    torchs = np.stack([decoding.by_torchvision(file) for file in files]).astype(float)
    assert len(files) == 6
    assert len(np.unique(whole, axis=0)) == 2
    assert 0 < np.abs(ours - whole).mean() < 1
    assert np.abs(torchs - whole).mean() < 1
    pillow, torchvision, *_, memory = decoding.lines()
    assert (pillow.unit, torchvision.unit, memory.unit) == ("images/s", "images/s", "MiB")
    assert pillow.figure == pytest.approx(pillow.ours / pillow.other)
    assert memory.name == "decode 1.08 megapixels to 128×128, 6 images"
    assert memory.ours > 30


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_split_is_measured_on_few_and_on_many_images(tmp_path, monkeypatch):
    scale.make_project(tmp_path, 30)
    counts = [len(list((tmp_path / "data/raw/noise" / name).iterdir())) for name in ("Negative", "Positive")]
    assert counts == [27, 3]
    monkeypatch.setattr(scale, "FEW", 100)
    monkeypatch.setattr(scale, "MANY", 200)
    speed, memory = scale.lines()
    assert (speed.name, speed.beside) == ("split, 200 images", "100 images")
    assert speed.figure == pytest.approx(speed.other / speed.ours)
    assert memory.figure == pytest.approx(memory.ours / memory.other)
    assert memory.other > 50


def test_time_to_f1_scores_what_the_stages_predicted(tmp_path, monkeypatch, capsys):
    """With stages that take a second and predict all but one image of fold 1 rightly."""

    def stage(root, name, _dataset, *rows):
        for row in rows:
            folder = root / "data/cv/set" / row
            folder.mkdir(parents=True)
            table = pd.DataFrame({"path": list("abcd"), "label": [1, 0, 1, 0], "fold": [0, 0, 1, 1], "point": 3})
            table.assign(score=[0.9, 0.1, 0.8, 0.7]).to_csv(folder / "predictions.csv", index=False)
        return 1.0, 10 * len(rows)

    monkeypatch.setattr(time_to_f1, "run", stage)
    arguments = ["--rows", "resnet18", "--seeds", "5", "--json", str(tmp_path / "out.json")]
    monkeypatch.setattr("sys.argv", ["time_to_f1", str(tmp_path), *arguments])
    time_to_f1.main()
    (figures,) = json.loads((tmp_path / "out.json").read_text())
    assert (figures["f1"], figures["seed"]) == (pytest.approx((1 + 2 / 3) / 2, abs=1e-4), 5)
    assert "resnet18" in capsys.readouterr().out


def test_a_study_is_a_mean_over_seeds_and_goes_on_where_it_was_cut_off(tmp_path, monkeypatch, capsys):
    """With stages that predict all images rightly as they come, and one wrongly where backgrounds are filled."""
    asked = []

    def stage(root, name, *names):
        asked.append((root.name, name))
        filled = yaml.safe_load((root / "params.yaml").read_text())["split"]["background"] == "fill"
        of = {"baselines": BASELINES, "train_leanet": names[1:], "sweep": names[1:]}.get(name, ())
        for row in of:
            for place, share in (("cv", 1), ("sweep", 0.25)):
                folder = root / "data" / place / "set" / row
                folder.mkdir(parents=True, exist_ok=True)
                table = pd.DataFrame(
                    {"path": list("abcd"), "label": [1, 0, 1, 0], "fold": [0, 0, 1, 1], "point": 0}
                )
                scores = [0.9, 0.1, 0.8, 0.7 if filled else 0.2]
                table = table.assign(share=share, score=scores)
                table.to_csv(folder / "predictions.csv", index=False)
                blurred, exchanged = table.assign(kind="blurred"), table.assign(kind="exchanged", score=0.1)
                pd.concat([blurred, exchanged]).to_csv(folder / "altered.csv", index=False)
        return 1.0, 0

    monkeypatch.setattr(study, "run", stage)
    monkeypatch.setattr(study, "RESULTS", tmp_path / "study.csv")
    for seeds in (["1"], ["1", "2"]):
        monkeypatch.setattr("sys.argv", ["study", str(tmp_path), str(tmp_path / "out"), "--seeds", *seeds])
        study.main()
    assert asked.count(("find-1", "report")) == asked.count(("fill-2", "report")) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-36].startswith("| as they come | all | resnet18 | 2 | 1.000 (1.000 to 1.000) |")
    # Blurred as they are, and two of four verdicts turned.
    assert lines[-36].endswith("| 1.000 (1.000 to 1.000) | 0.500 (0.500 to 0.500) |")
    assert lines[-1].startswith("| filled | a quarter | map-one-class | 2 | 0.833 (0.833 to 0.833) |")
