"""A packaged detector: load it, give it images."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load_file

from leanet.core import device as devices
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.core.files import sha256
from leanet.detector import threshold
from leanet.detector.calibration import Calibration, at_prevalence
from leanet.detector.criterion import Criterion
from leanet.detector.ensemble import Ensemble, Member
from leanet.detector.threshold import Threshold
from leanet.images.preparation import prepare
from leanet.images.reading import Source, read
from leanet.images.settings import Preparation
from leanet.training.state import weights

KNOWN = "known.safetensors"
PARTS = ("unet", "network")  # of a member: each has a file
BATCH = 16  # images
UNSAID = {  # by detectors that were made before these were settings
    "unet_width": 64,
    "preparation": vars(Preparation(border=0.05, white_balance=False, background="keep")),
    "border": None,
}


@dataclass(frozen=True)
class Judged:
    """What a detector finds in images.

    images: uint8 (N, side, side, 3), as the networks saw them. scores: float32 (N,), probabilities of being
    anomalous. labels: bool (N,), scores above the threshold. maps: float32 (N, side, side), anomaly maps in ΔE₀₀.
    attention: float32 (N, side, side), what the networks attend to, from 0 (not) to 1 (fully); None for a row
    without attention.
    """

    images: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    maps: np.ndarray
    attention: np.ndarray | None


class Detector:
    """One row's fold models with all that their judgement rests on, in a folder.

    facts: what it is: data set, row, point, side, recipe, calibration, cross-validated scores, provenance. known:
    arrays over the images that it was made from, in the order of facts["images"]: margins, labels and folds, each
    image judged by the network that never saw it; statistics (leanet.detector.drift); embeddings and thumbnails of
    some of them.
    """

    def __init__(self, facts: dict, known: dict[str, np.ndarray], members: list[Member]):
        self.facts, self.known = facts, known
        self.calibration = Calibration(**facts["calibration"])
        ensemble = Ensemble(members, self.calibration).eval().requires_grad_(False)
        self.ensemble = ensemble.to(memory_format=torch.channels_last)  # as images come: a fifth faster
        self.preparation = Preparation(**facts["preparation"])
        self.device = torch.device("cpu")
        self.threshold = self.threshold_for(Criterion.parse(facts["criterion"]))

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> "Detector":
        """From a folder, or any address of a model in MLflow: models:/leanet-leaf@champion, runs:/….

        device: auto, cpu, cuda or mps.

        Raises:
            InputError: there is no detector, it is damaged, or the device is not there.
        """
        folder = _fetched(path) if ":/" in str(path) else Path(path)
        try:
            facts = json.loads((folder / paths.FACTS).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{folder}: no detector there; `dvc repro package` makes models/detector") from None
        except ValueError:
            raise InputError(
                f"{folder / paths.FACTS} is damaged; `dvc checkout` or `dvc repro package` mends it"
            ) from None
        facts |= {name: value for name, value in UNSAID.items() if name not in facts}
        for name, digest in facts["files"].items():
            if not (folder / name).exists() or sha256(folder / name) != digest:
                raise InputError(
                    f"{folder / name} is missing or damaged; `dvc checkout` or `dvc repro package` mends it"
                )
        with torch.device("meta"):
            members = [member_of(facts) for _ in facts["members"]]
        for member, names in zip(members, facts["members"], strict=True):
            for part, name in zip(PARTS, names, strict=True):
                member.get_submodule(part).load_state_dict(load_file(folder / name), assign=True)
        return cls(facts, load_arrays(folder / KNOWN), members).to(device)

    def save(self, folder: Path) -> None:
        """Write it to `folder`, which is there and empty."""
        for names, member in zip(self.files, self.ensemble.members, strict=True):
            for part, name in zip(PARTS, names, strict=True):
                # Not safetensors' own save_file: nobody but its owner could read what it writes.
                (folder / name).write_bytes(save_arrays(weights(member.get_submodule(part))))
        known = {name: np.ascontiguousarray(array) for name, array in self.known.items()}
        (folder / KNOWN).write_bytes(save_arrays(known))
        names = [*(name for member in self.files for name in member), KNOWN]
        facts = self.facts | {"files": {name: sha256(folder / name) for name in names}}
        (folder / paths.FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def to(self, device: str) -> "Detector":
        """Itself, on the device: auto, cpu, cuda or mps."""
        self.device = devices.prepare(device, asked_by="device")
        self.ensemble.to(self.device)
        return self

    @property
    def files(self) -> list[list[str]]:
        """Of each member the files of PARTS, in its folder."""
        return self.facts["members"]

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
        return threshold.choose(criterion, self.scores, self.known["labels"], self.known["folds"])

    @property
    def doubts(self) -> list[str]:
        """What is to be said before its scores are believed, a sentence each."""
        blind = "its networks do not tell anomalous images from normal ones: no score means anything"
        shortcut = (
            f"what surrounds the objects alone tells its training images apart (AUROC {self.facts['border']}): "
            "it may judge by the camera, not by the object"
        )
        said = [blind] if self.calibration.slope <= 0 else []
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
            judged = [self._judge(np.empty((0, self.side, self.side, 3), np.uint8), prevalence)]
        parts = {name: [getattr(each, name) for each in judged] for name in asdict(judged[0])}
        return Judged(**{name: None if each[0] is None else np.concatenate(each) for name, each in parts.items()})

    def stream(
        self, images: Iterable[Source], *, prevalence: float | None = None
    ) -> Iterator[tuple[Judged, list[InputError | None]]]:
        """`predict` a batch at a time, for more images than fit into memory.

        Yields what is found in the readable images of a batch, and for each image of the batch None, or why it
        cannot be read.
        """
        for batch in read(images, self.side, BATCH):
            good = [image for image in batch if not isinstance(image, InputError)]
            good = [prepare(image, self.preparation)[0] for image in good]
            pixels = np.stack(good) if good else np.empty((0, self.side, self.side, 3), np.uint8)
            yield (
                self._judge(pixels, prevalence),
                [image if isinstance(image, InputError) else None for image in batch],
            )

    @torch.inference_mode()
    def embed(self, images: np.ndarray) -> np.ndarray:
        """Vectors (N, D) of length 1 of uint8 (N, side, side, 3): near where images look alike to the networks."""
        return self.ensemble.embed(torch.from_numpy(images).to(self.device)).cpu().numpy()

    def nearest(self, images: np.ndarray, count: int) -> tuple[list[tuple[str, float, np.ndarray]], ...]:
        """The normal and the anomalous training images that look most like one image, uint8 (1, side, side, 3).

        Each with its path in the data set, the cosine of both images' features, and itself; most alike first.
        """
        places = self.known["gallery"]
        likeness = self.known["embeddings"].astype(np.float32) @ self.embed(images)[0]
        found = []
        for label in (0, 1):
            of_class = np.flatnonzero(self.known["labels"][places] == label)
            best = of_class[np.argsort(-likeness[of_class])][:count]
            found.append(
                [(self.facts["images"][places[i]], float(likeness[i]), self.known["thumbnails"][i]) for i in best]
            )
        return tuple(found)

    @torch.inference_mode()
    def _judge(self, images: np.ndarray, prevalence: float | None) -> Judged:
        if not len(images):
            nothing = np.empty((0, self.side, self.side), np.float32)
            attention = nothing if self.facts["attends"] else None
            return Judged(images, np.empty(0, np.float32), np.empty(0, bool), nothing, attention)
        found = self.ensemble(torch.from_numpy(images).to(self.device))
        scores, maps, attention = (None if part is None else part.cpu().numpy() for part in found)
        labels = scores > self.threshold.value
        if prevalence is not None:
            scores = at_prevalence(scores, self.calibration.prevalence, prevalence).astype(np.float32)
        return Judged(images, scores, labels, maps, attention)


def member_of(facts: dict) -> Member:
    """A member of the detector that `facts` describe, without weights."""
    settings = {name: facts[name] for name in ("side", "unet_width", "recipe", "map_scale", "pretrained")}
    filled = facts["preparation"]["background"] == "fill"
    return Member(facts["row"], point=facts["point"] or None, filled=filled, **settings)


def _fetched(address: str) -> Path:
    """A model of MLflow's as a folder; of a pyfunc model, the detector within it."""
    import mlflow

    from leanet.tracking import store

    mlflow.set_tracking_uri(store.address())
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=address))
    except Exception as error:
        raise InputError(
            f"{address}: MLflow at {store.address()} does not give it ({store.reason(error)})"
        ) from None
    return folder / "artifacts" / "detector"
