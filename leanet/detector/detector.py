"""A packaged detector: load it, give it images."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from leanet.core.errors import InputError
from leanet.core.parallel import in_order
from leanet.detector.aside import least_likeness
from leanet.detector.calibration import Calibration, at_prevalence
from leanet.detector.criterion import Criterion
from leanet.detector.drift import Drift, compare, statistics
from leanet.detector.folder import GRAPH, check_files, folder_of, read_facts, read_known
from leanet.detector.found import Found, Networks
from leanet.detector.threshold import Threshold
from leanet.images.decoding import MAX_PIXELS
from leanet.images.preparation import prepare
from leanet.images.reading import Source, read
from leanet.images.settings import Preparation

NO_NUMBER = "the detector comes to no number for this image, most likely since its networks are damaged"


@dataclass(frozen=True)
class Judged:
    """What a detector finds in images.

    images: uint8 (N, side, side, 3), as the networks saw them. scores: float32 (N,), probabilities of being
    anomalous; of a detector by the map alone, above 0.5 for what is more unlike than all it knows. labels: bool
    (N,), scores above the threshold. maps: float32 (N, side, side), anomaly maps in ΔE₀₀. attention: float32
    (N, side, side), what the networks attend to, from 0 (not) to 1 (fully); None for a row without attention.
    features: float32 (N, D), length 1, near where images look alike to the networks. statistics: float32 (N, 4),
    leanet.detector.drift.STATISTICS.
    """

    images: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    maps: np.ndarray
    attention: np.ndarray | None
    features: np.ndarray
    statistics: np.ndarray


class Detector:
    """One row's networks with all that their judgement rests on, in a folder.

    facts: what it is: kind, data set, row, point, side, recipe, calibration, threshold, cross-validated scores,
    provenance. known: arrays over the images that it was made from, in the order of facts["images"]: margins,
    labels, folds and groups, each image judged by a network that never saw it; of some of them, at the places
    `sample`, statistics (leanet.detector.drift) by its own networks; of some of these, at the places `gallery`,
    features and thumbnails.
    """

    def __init__(self, facts: dict, known: dict[str, np.ndarray], networks: Networks):
        self.facts, self.known, self.networks = facts, known, networks
        self.calibration = Calibration(**facts["calibration"])
        self.preparation = Preparation(**facts["preparation"])
        if "threshold" in facts:
            self.threshold = Threshold.from_facts(facts["threshold"])
        else:
            self.threshold = self.threshold_for(Criterion.parse(facts["criterion"]))

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> "Detector":
        """From a folder, or any address of a model in MLflow: models:/leanet-leaf@champion, runs:/….

        device: auto, cpu, cuda or, of an ensemble, mps.

        Raises:
            InputError: there is no detector, it is damaged, or the device is not there.
        """
        folder = folder_of(path)
        facts = read_facts(folder)
        check_files(folder, facts)
        known = read_known(folder, facts)
        if facts["kind"] == "light":
            from leanet.detector.graph import Graph

            networks = Graph(folder / GRAPH, device)
        else:
            from leanet.detector import ensemble  # loads torch, which a light detector does without

            networks = ensemble.OnTorch(ensemble.load(folder, facts), device)
        return cls(facts, known, networks)

    @property
    def side(self) -> int:
        """Pixels along the side of the images that the networks see; others are resized."""
        return self.facts["side"]

    @cached_property
    def scores(self) -> np.ndarray:
        """Of the images that it was made from, (N,): each by the network that never saw it."""
        return self.calibration.probabilities(self.known["margins"])

    def threshold_for(self, criterion: Criterion) -> Threshold:
        """The threshold that meets `criterion` on the images that it was made from, with its estimates."""
        from leanet.detector.choosing import choose  # loads scipy

        of_images = (self.known[name] for name in ("labels", "folds", "groups"))
        return choose(criterion, self.scores, *of_images, one_network=self.facts["kind"] == "light")

    @property
    def doubts(self) -> list[str]:
        """What is to be said before its scores are believed, a sentence each."""
        blind = "its networks do not tell anomalous images from normal ones: no score means anything"
        shortcut = (
            f"what surrounds the objects alone tells its training images apart (AUROC {self.facts['border']}): "
            "it may judge by the camera, not by the object"
        )
        none = "its scores say how unlike its normal images a new one is, and are no probabilities"
        said = [blind] if self.calibration.slope <= 0 else []
        said += [none] if self.calibration.prevalence is None else []
        said += [shortcut] if self.facts["border"] else []
        return [*said, *self.threshold.doubts]

    def predict(self, images: Sequence[Source] | np.ndarray, *, prevalence: float | None = None) -> Judged:
        """Judge paths, bytes of files, Pillow's images or arrays of uint8 (height, width, 3), of any sizes.

        prevalence: the share of anomalous images where these come from, which probabilities follow and labels do
            not; None for that of the images it was made from.

        Raises:
            InputError: one of them is no image that can be read (`stream` goes on where this stops), or it is one
                image and no list.
        """
        if isinstance(images, str | Path | bytes | Image.Image):
            raise InputError("expected a list of images, not one alone: predict([image])")
        judged = []
        for batch, faults in self.stream(images, prevalence=prevalence):
            if error := next((fault for fault in faults if fault), None):
                raise error
            judged.append(batch)
        if not judged:
            judged = [self._judge([], prevalence)[0]]
        parts = {name: [getattr(each, name) for each in judged] for name in asdict(judged[0])}
        return Judged(**{name: None if each[0] is None else np.concatenate(each) for name, each in parts.items()})

    def stream(
        self, images: Iterable[Source], *, prevalence: float | None = None, most_pixels: int = MAX_PIXELS
    ) -> Iterator[tuple[Judged, list[InputError | None]]]:
        """`predict` a batch at a time, for more images than fit into memory.

        most_pixels: what an image may have.

        Yields what is found in the readable images of a batch, and for each image of the batch None, or why it
        cannot be read.
        """
        batches = (
            (batch, prevalence) for batch in read(images, self.side, self.networks.batch, most_pixels=most_pixels)
        )
        with closing(in_order(self._judge, batches, self.networks.threads)) as judged:
            yield from judged

    def drift(self, new: np.ndarray) -> list[Drift]:
        """How statistics of new images (N, 4) lie to those of the images that it was made from."""
        return compare(self.known["statistics"], self.known["labels"][self.known["sample"]], new)

    def likeness(self, features: np.ndarray) -> np.ndarray:
        """To the training image that looks most like it, cosines (N,) of features (N, D)."""
        return (features @ self._gallery.T).max(axis=1, initial=-1)

    def unlike(self, features: np.ndarray) -> np.ndarray:
        """Of which images, by their features (N, D), it knows nothing that is alike, bool (N,)."""
        return self.likeness(features) < self._least_likeness

    @cached_property
    def _gallery(self) -> np.ndarray:
        return self.known["embeddings"].astype(np.float32)

    @cached_property
    def _least_likeness(self) -> float:
        return least_likeness(self._gallery, self.known["groups"][self.known["gallery"]])

    def nearest(self, features: np.ndarray, count: int) -> tuple[list[tuple[str, float, np.ndarray]], ...]:
        """The normal and the anomalous training images that look most like one, by its features (D,).

        Each with its path in the data set, the cosine of both images' features, and itself, uint8 (s, s, 3), s at
        most 96 pixels; most alike first.
        """
        places = self.known["gallery"]
        likeness = self._gallery @ features
        found = []
        for label in (0, 1):
            of_class = np.flatnonzero(self.known["labels"][places] == label)
            best = of_class[np.argsort(-likeness[of_class])][:count]
            found.append(
                [(self.facts["images"][places[i]], float(likeness[i]), self.known["thumbnails"][i]) for i in best]
            )
        return tuple(found)

    def _judge(
        self, batch: Sequence[np.ndarray | InputError], prevalence: float | None
    ) -> tuple[Judged, list[InputError | None]]:
        """What is found in the images of a batch, and as `stream` has it, what is wrong with the others."""
        faults = [image if isinstance(image, InputError) else None for image in batch]
        good = [prepare(image, self.preparation)[0] for image in batch if not isinstance(image, InputError)]
        images = np.stack(good) if good else np.zeros((1, self.side, self.side, 3), np.uint8)
        found = self.networks(images)
        sound = self._sound(found, len(images))[: len(good)]
        for at in np.flatnonzero([fault is None for fault in faults])[~sound]:
            faults[at] = InputError(NO_NUMBER)
        parts = (None if part is None else part[: len(good)][sound] for part in (images, *found))
        images, scores, maps, attention, features, color = parts
        labels = scores > self.threshold.value
        if prevalence is not None:
            scores = at_prevalence(scores, self.calibration.prevalence, prevalence).astype(np.float32)
        return Judged(images, scores, labels, maps, attention, features, statistics(color, maps)), faults

    def _sound(self, found: Found, count: int) -> np.ndarray:
        """For which of so many images the networks came to numbers, bool (N,): scores that are none call nothing.

        Raises:
            InputError: what they give is none of Found.
        """
        square, seen = (count, self.side, self.side), self.known["embeddings"].shape[1]
        shapes = Found((count,), square, square, (count, seen), (count, 2))
        for name, part, shape in zip(Found._fields, found, shapes, strict=True):
            if part is not None and part.shape != shape:
                raise InputError(f"the detector's networks give {name} of shape {part.shape}, expected {shape}")
        sound = (found.score >= 0) & (found.score <= 1)
        for part in found:
            if part is not None:
                sound &= np.isfinite(part).reshape(count, -1).all(axis=1)
        return sound
