"""Reading ahead: images in their order, errors in their place."""

import threading

import numpy as np
import pytest
from PIL import Image

from leanet.core.errors import InputError
from leanet.core.parallel import cores
from leanet.images import reading
from leanet.images.reading import AHEAD, read


def flat(value: int) -> np.ndarray:
    return np.full((8, 8, 3), value, np.uint8)


def test_images_come_in_order_in_batches_with_errors_in_their_place(tmp_path):
    Image.fromarray(flat(1)).save(tmp_path / "1.png")
    (tmp_path / "bad.png").write_text("no image")
    sources = [flat(0), tmp_path / "1.png", str(tmp_path / "bad.png"), Image.fromarray(flat(3)), flat(4) + 0.5]
    sources += [tmp_path / "missing.png", (tmp_path / "1.png").read_bytes()]
    batches = list(read(iter(sources), 8, batch_size=3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    found = [one for batch in batches for one in batch]
    errors = {2: "bad.png: cannot be decoded", 4: "image 4: an array of float64", 5: "missing.png: no such file"}
    for at, value in enumerate([0, 1, None, 3, None, None, 1]):
        if value is None:
            assert isinstance(found[at], InputError)
            assert errors[at] in str(found[at])
        else:
            assert np.array_equal(found[at], flat(value))


def test_an_image_may_have_so_many_pixels_and_no_more():
    (batch,) = read([flat(0), np.zeros((9, 8, 3), np.uint8)], 8, batch_size=2, most_pixels=64)
    assert batch[0].shape == (8, 8, 3)
    assert str(batch[1]) == "image 1: cannot be decoded as an image (it has more than 64 pixels)"


def test_an_image_is_cut_by_its_own_box():
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    boxes = [(0, 0, 2, 2), None, (2, 2, 4, 4)]
    (batch,) = read([image[:, :, :]] * 3, 2, batch_size=8, boxes=boxes)
    assert np.array_equal(batch[0], image[:2, :2])
    assert np.array_equal(batch[2], image[2:, 2:])


def test_few_images_wait_and_none_is_read_once_nobody_asks(monkeypatch):
    begun = []
    slow = threading.Event()
    decode = reading.decode

    def decoded(source, *rest):
        begun.append(source)
        slow.wait(0.002)
        return decode(source, *rest)

    monkeypatch.setattr(reading, "decode", decoded)
    batches = read((flat(i) for i in range(200)), 8, batch_size=4)
    for taken in range(1, 6):
        assert [image[0, 0, 0] for image in next(batches)] == list(range(4 * taken - 4, 4 * taken))
        slow.wait(0.02 * (taken < 3))  # time in which more than that would begin
        assert len(begun) <= 4 * taken + AHEAD * 4 + cores()
    batches.close()
    after = len(begun)
    slow.wait(0.05)
    assert len(begun) == after


@pytest.mark.parametrize("count", [0, 4, 8])
def test_no_batch_is_empty(count):
    assert [len(batch) for batch in read([flat(0)] * count, 8, batch_size=4)] == [4] * (count // 4)
