"""The colours of heat maps, which are matplotlib's."""

import numpy as np
from matplotlib import colormaps

from leanet.report.heat import heat


def test_heat_has_the_colours_of_matplotlib():
    for kind in (np.float32, np.float64):
        map_ = np.linspace(-1, 40, 1600, dtype=kind).reshape(40, 40)
        expected = colormaps["inferno"](np.clip(map_ / kind(30), 0, 1), bytes=True)[..., :3]
        np.testing.assert_array_equal(heat(map_, 30.0), expected)
