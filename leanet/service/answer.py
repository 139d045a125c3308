"""What the API says of images, as JSON."""

import base64
import io
from collections.abc import Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from leanet.core.errors import InputError
from leanet.detector import overlay
from leanet.detector.aside import Aside
from leanet.detector.detector import Detector, Judged
from leanet.images.decoding import picture
from leanet.service import limits

NEIGHBOURS = 3  # of each class
THUMBNAIL = 96  # pixels of its longer side
SAVED = {"WEBP": {"method": 0}}  # three times as fast, a twentieth larger

Pictures = Literal["1", "small", "0"]


class Neighbour(BaseModel):
    """A training image that looks like the one judged."""

    path: str = Field(description="in the data set")
    likeness: float = Field(description="cosine of both images' features, at most 1")
    picture: str = Field(description="PNG as a data URL")


class Answer(BaseModel):
    """What the detector finds in one image. What `pictures` does not ask for is not there."""

    file: str | None = Field(None, description="its name in the form; not there without a form")
    score: float = Field(
        description="probability that it is anomalous, 0 to 1; by a detector that knows normal images alone, how "
        "unlike them it is"
    )
    anomalous: bool = Field(description="whether the score is above the threshold")
    threshold: float
    map_p99: float = Field(description="99th percentile of the anomaly map, ΔE₀₀")
    picture: str | None = Field(None, description="the image, upright, PNG (small: WebP) as a data URL")
    layers: dict[str, str] | None = Field(
        None, description="heat over the image by name, map or attention: data URLs; small: the map alone"
    )
    normal: list[Neighbour] | None = Field(None, description="the nearest normal training images; not in small")
    anomalous_like: list[Neighbour] | None = Field(
        None, description="the nearest anomalous training images; not in small"
    )


class Fault(BaseModel):
    """A file of a form that is no image."""

    file: str
    error: str = Field(description="one sentence")


class Results(BaseModel):
    """What the detector finds in the files of a form, in their order."""

    results: list[Answer | Fault]


def answers(
    detector: Detector, images: Sequence[bytes], pictures: Pictures, aside: Aside | None = None
) -> Iterator[Answer | InputError]:
    """What the detector finds in each of the images, or why one cannot be read, in their order.

    aside: where those go that it knows nothing alike of.
    """
    place = iter(images)
    for judged, faults in detector.stream(images, most_pixels=limits.MAX_PIXELS):
        found = iter(range(len(judged.scores)))
        unlike = detector.unlike(judged.features) if aside else None
        for fault, content in zip(faults, place, strict=False):
            if fault:
                yield fault
                continue
            at = next(found)
            if aside and unlike[at]:
                aside.put(content)
            yield _answer(detector, content, judged, at, pictures)


def write(
    detector: Detector,
    names: Sequence[str],
    images: Sequence[bytes],
    pictures: Pictures,
    aside: Aside | None = None,
) -> IO[bytes]:
    """The Results for files of these names, as a file of JSON to be read from its start.

    Images with their pictures may be much longer than the files, so that no more than KEPT is held in memory.
    """
    file = SpooledTemporaryFile(max_size=limits.KEPT)  # noqa: SIM115 (whoever reads it closes it)
    file.write(b'{"results":[')
    for at, (name, found) in enumerate(zip(names, answers(detector, images, pictures, aside), strict=True)):
        if isinstance(found, InputError):
            result = Fault(file=name, error=str(found).removeprefix(f"image {at}: "))
        else:
            result = found.model_copy(update={"file": name})
        file.write(b"," * (at > 0) + result.model_dump_json(exclude_none=True).encode())
    file.write(b"]}")
    file.seek(0)
    return file


def _answer(detector: Detector, content: bytes, judged: Judged, at: int, pictures: Pictures) -> Answer:
    """What was found in the image of these bytes, the one at place `at` among those judged."""
    answer = Answer(
        score=float(judged.scores[at]),
        anomalous=bool(judged.labels[at]),
        threshold=detector.threshold.value,
        map_p99=float(judged.statistics[at, -1]),
    )
    if pictures == "small":
        image = picture(content, THUMBNAIL)
        answer.picture = _url(image, "WEBP")
        answer.layers = _layers(image, judged.maps[at], None, "WEBP")
    elif pictures == "1":
        image = picture(content, overlay.LONGEST)
        attention = None if judged.attention is None else judged.attention[at]
        answer.picture = _url(image)
        answer.layers = _layers(image, judged.maps[at], attention)
        normal, anomalous = detector.nearest(judged.features[at], NEIGHBOURS)
        answer.normal = [_neighbour(*each) for each in normal]
        answer.anomalous_like = [_neighbour(*each) for each in anomalous]
    return answer


def _layers(
    image: Image.Image, map_: np.ndarray, attention: np.ndarray | None, kind: str = "PNG"
) -> dict[str, str]:
    return {name: _url(heat, kind) for name, heat in overlay.heats(image.size, map_, attention).items()}


def _neighbour(path: str, likeness: float, image: np.ndarray) -> Neighbour:
    return Neighbour(path=path, likeness=likeness, picture=_url(Image.fromarray(image)))


def _url(image: Image.Image, kind: str = "PNG") -> str:
    written = io.BytesIO()
    image.save(written, kind, **SAVED.get(kind, {}))
    return f"data:image/{kind.lower()};base64," + base64.b64encode(written.getvalue()).decode()
