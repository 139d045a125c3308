import threading
import time

import numpy as np
import pytest
import torch
from skimage import color as oracle

from leanet.color.anomaly_map import make_maps
from leanet.color.lab import ciede2000, lab_to_rgb, rgb_to_lab
from leanet.color.unet import UNet, to_unit
from leanet.core import parallel

# Sharma, Wu & Dalal 2005, Table 1: L a b of two colours, and their difference.
SHARMA = np.array(
    [
        [50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425],
        [50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615],
        [50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412],
        [50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669],
        [50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461],
        [50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065],
        [50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492],
        [50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977],
        [50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030],
        [50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000],
        [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
        [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
        [61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731],
        [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
        [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
        [36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146],
        [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
        [90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381],
        [6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377],
        [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
    ]
)


def as_image(colors: np.ndarray) -> torch.Tensor:
    """(N, 3) colours as an image of one row, (3, 1, N)."""
    return torch.from_numpy(np.ascontiguousarray(colors.T[:, None]))


def as_colors(image: torch.Tensor) -> np.ndarray:
    return image[:, 0].T.numpy()


def test_ciede2000_of_the_published_pairs():
    first, second = as_image(SHARMA[:, :3]), as_image(SHARMA[:, 3:6])
    for a, b in ((first, second), (second, first)):
        np.testing.assert_allclose(ciede2000(a, b)[0], SHARMA[:, 6], atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-3), (np.float64, 1e-9)])
def test_ciede2000_agrees_with_scikit_image(dtype, tolerance):
    rng = np.random.default_rng(0)
    low, high = [0, -128, -128], [100, 127, 127]
    a, b = (rng.uniform(low, high, (20_000, 3)).astype(dtype) for _ in range(2))
    b[:5000] = a[:5000] + rng.normal(0, 2, (5000, 3))  # near pairs, where most pixels of a map lie
    b[5000:5100, 1:] = 0  # grey
    a[5100:5200] = b[5100:5200]  # equal
    ours = ciede2000(as_image(a), as_image(b))
    assert ours.dtype == torch.from_numpy(a).dtype
    np.testing.assert_allclose(ours[0], oracle.deltaE_ciede2000(a, b), atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-3), (np.float64, 1e-9)])
def test_lab_agrees_with_scikit_image(dtype, tolerance):
    steps = np.linspace(0, 1, 18)
    rgb = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3).astype(dtype)
    lab = rgb_to_lab(as_image(rgb))
    np.testing.assert_allclose(as_colors(lab), oracle.rgb2lab(rgb), atol=tolerance)
    np.testing.assert_allclose(as_colors(lab_to_rgb(lab)), rgb, atol=2e-5)


def test_lab_to_rgb_clips_as_scikit_image_does():
    rng = np.random.default_rng(0)
    lab = rng.uniform([0, -128, -128], [100, 127, 127], (2000, 3))
    with pytest.warns(UserWarning, match="negative Z"):
        expected = oracle.lab2rgb(lab)
    np.testing.assert_allclose(as_colors(lab_to_rgb(as_image(lab))), expected, atol=1e-6)


class PerfectColouriser(torch.nn.Module):
    """Gives back the very colours of `image`, uint8 (side, side, 3)."""

    def __init__(self, image: np.ndarray):
        super().__init__()
        self.ab = to_unit(torch.from_numpy(oracle.rgb2lab(image)[..., 1:]).float().permute(2, 0, 1))

    def forward(self, lightness: torch.Tensor) -> torch.Tensor:
        return self.ab.expand(len(lightness), -1, -1, -1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_perfect_colouriser_has_an_empty_map_in_every_precision(dtype):
    """Only the network computes in bf16: colours and their differences never do."""
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    made = make_maps(
        PerfectColouriser(image), image[None], np.arange(1), filled=False, device=torch.device("cpu"), dtype=dtype
    )
    ((_, maps, recolored),) = made
    assert maps.max() <= 0.01
    assert np.array_equal(recolored[0], image)


def test_maps_are_the_same_bits_on_any_number_of_cores(monkeypatch):
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (21, 32, 32, 3), dtype=np.uint8)
    network, chosen, seen = UNet(side=32, width=8, dropout=0), np.arange(20, 0, -1), set()

    def look(*_) -> None:
        seen.add((threading.get_ident(), torch.get_num_threads()))
        time.sleep(0.01)  # for the other threads to begin

    network.register_forward_hook(look)
    how = {"filled": False, "device": torch.device("cpu"), "dtype": torch.float32, "batch_size": 2}
    made = {}
    for count in (1, 2):
        seen.clear()
        monkeypatch.setattr(parallel, "cores", lambda count=count: count)
        made[count] = [
            np.concatenate(parts) for parts in zip(*make_maps(network, images, chosen, **how), strict=True)
        ]
        assert [threads for _, threads in seen] == [1] * count
    assert made[1][0].tolist() == chosen.tolist()
    for one, two in zip(made[1], made[2], strict=True):
        assert np.array_equal(one, two)


def test_colours_are_the_same_under_autocast():
    rgb = torch.from_numpy(np.random.default_rng(0).random((3, 32, 32), np.float32))
    lab = rgb_to_lab(rgb)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(rgb_to_lab(rgb), lab)
        back, difference = lab_to_rgb(lab), ciede2000(lab, lab + 1)
    assert torch.equal(back, lab_to_rgb(lab))
    assert torch.equal(difference, ciede2000(lab, lab + 1))
