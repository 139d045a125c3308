"""Making a detector: its networks, and what they say of images that they never saw."""

import json
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save as save_arrays
from torch import Tensor

from leanet.attention.rows import MAP_ONE_CLASS
from leanet.color.lab import from_bytes
from leanet.core import paths
from leanet.core.arrays import ArrayFile
from leanet.core.device import one_core_a_thread
from leanet.core.files import sha256
from leanet.core.parallel import in_order
from leanet.core.progress import Progress
from leanet.detector.calibration import Calibration
from leanet.detector.choosing import choose
from leanet.detector.criterion import Criterion
from leanet.detector.drift import statistics
from leanet.detector.ensemble import PARTS, AnyMember, Ensemble, joined, mean, mean_color, member_of
from leanet.detector.folder import GRAPH, KNOWN
from leanet.images.imageset import ImageSet
from leanet.packaging.export import metadata
from leanet.packaging.graph import program, write_light

BATCH = 16  # images
SAMPLE = 256  # images of each class that the detector itself judges, at most
GALLERY = 100  # of these, to find the nearest among
THUMBNAIL = 96  # pixels along the side that these are kept in


def assemble(
    facts: dict,
    weights: list[list[dict[str, Tensor]]],
    light: list[dict[str, Tensor]] | None,
    data: ImageSet,
    device: torch.device,
) -> tuple[dict, dict[str, np.ndarray], Ensemble]:
    """What is known of a detector, as Detector has it, and its networks.

    facts: what the detector is to say of itself, among it kind, row, point (0: none), recipe, map_scale,
    pretrained, border and criterion. weights: of PARTS of each fold of the first repeat. light: those of the light
    network, None for an ensemble of the folds' networks.
    """
    facts = facts | {"side": data.side}
    folds = [member_of(facts, each) for each in weights]
    margins = _out_of_fold([_ready(member, device) for member in folds], data, device)
    alone = facts["row"] == MAP_ONE_CLASS
    # Of the map alone, a score says how unlike an image is, and is no probability: no anomalous image gave one.
    calibration = Calibration(1, 0, None) if alone else Calibration.fit(margins, data.labels)
    members = folds if light is None else [member_of(facts, light)]
    labels, in_folds = data.labels.astype(np.uint8), data.first_tested_in.astype(np.int16)
    groups = data.manifest["group"].to_numpy(np.int32)
    scores = calibration.probabilities(margins)
    criterion, one_network = Criterion.parse(facts["criterion"]), light is not None
    threshold = choose(criterion, scores, labels, in_folds, groups, one_network=one_network)
    facts |= {
        "attends": members[0].attends,
        "calibration": vars(calibration),
        "threshold": threshold.facts,
        "images": data.manifest["path"].tolist(),
    }
    sample, gallery = _drawn(data, SAMPLE), _drawn(data, GALLERY)
    # One look is enough for maps, and to find what looks alike.
    looking = [member_of(facts | {"kind": "light"}, _weights(member)) for member in members]
    known_statistics, features = _own([_ready(member, device) for member in looking], data.images[sample], device)
    known = {
        "margins": margins,
        "labels": labels,
        "folds": in_folds,
        "groups": groups,
        "sample": sample,
        "statistics": known_statistics,
        "gallery": gallery,
        "thumbnails": _thumbnails(data.images[gallery]),
        "embeddings": features[np.isin(sample, gallery)].astype(np.float16),
    }
    return facts, known, Ensemble([member.to("cpu") for member in members], calibration).eval()


def save(
    folder: Path, facts: dict, known: dict[str, np.ndarray], ensemble: Ensemble, images: ArrayFile | np.ndarray
) -> None:
    """Write a detector to `folder`, which is there and empty; images: those that it was made from."""
    if facts["kind"] == "light":
        exported = program(ensemble, facts["side"])
        how = {"attends": facts["attends"]}
        facts = facts | {"network_in": write_light(exported, folder / GRAPH, metadata(facts), images, **how)}
        names = [GRAPH]
    else:
        facts = facts | {
            "members": [[f"{part}{i}.safetensors" for part in PARTS] for i in range(len(ensemble.members))]
        }
        for files_, member in zip(facts["members"], ensemble.members, strict=True):
            for name, part in zip(files_, _weights(member), strict=True):
                # Not safetensors' own save_file: nobody but its owner could read what it writes.
                (folder / name).write_bytes(save_arrays({key: array.numpy() for key, array in part.items()}))
        names = [name for files_ in facts["members"] for name in files_]
    (folder / KNOWN).write_bytes(save_arrays({name: np.ascontiguousarray(array) for name, array in known.items()}))
    facts = facts | {"files": {name: sha256(folder / name) for name in [*names, KNOWN]}}
    (folder / paths.FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _ready(member: AnyMember, device: torch.device) -> AnyMember:
    return member.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def _weights(member: AnyMember) -> list[dict[str, Tensor]]:
    """Of PARTS, on the CPU."""
    return [
        {
            key: tensor.detach().cpu().contiguous()
            for key, tensor in member.get_submodule(part).state_dict().items()
        }
        for part in PARTS
    ]


def _out_of_fold(members: list[AnyMember], data: ImageSet, device: torch.device) -> np.ndarray:
    """Margins (N,), each image's by the member of the fold it is tested in."""
    margins = np.empty(len(data.labels), np.float32)
    busy = [Lock() for _ in members]

    @torch.inference_mode()
    def judged(fold: int, places: np.ndarray, images: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        with busy[fold]:
            said, *_ = members[fold](from_bytes(torch.from_numpy(images).to(device)))
        return fold, places, said.cpu().numpy()

    with Progress(len(data.labels), "out-of-fold scores") as progress, one_core_a_thread(device) as threads:
        batches = ((fold, places, data.images[places]) for fold, places in _in_turn(data, len(members)))
        for fold, places, said in in_order(judged, batches, threads):
            margins[places] = said
            progress.step(len(places), fold=fold)
    return margins


def _in_turn(data: ImageSet, folds: int) -> Iterator[tuple[int, np.ndarray]]:
    """The folds and places of batches: the first of all folds, then the second of all, for all members to work."""
    tested = [data.tested(fold) for fold in range(folds)]
    for start in range(0, max(map(len, tested)), BATCH):
        for fold, places in enumerate(tested):
            if len(batch := places[start : start + BATCH]):
                yield fold, batch


def _drawn(data: ImageSet, most: int) -> np.ndarray:
    """Places of at most so many images of each class; a smaller draw is a part of a larger one, in its order."""
    draw = np.random.default_rng(0)
    classes = (np.flatnonzero(data.labels == label) for label in (0, 1))
    return np.concatenate([np.sort(draw.permutation(members)[:most]) for members in classes])


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Images, uint8 (G, side, side, 3), at THUMBNAIL pixels at most."""
    side = min(THUMBNAIL, images.shape[1])
    return np.stack([np.asarray(Image.fromarray(image).resize((side, side))) for image in images])


def _own(members: list[AnyMember], images: np.ndarray, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """What the detector itself finds in images: statistics (K, 4), and features (K, D)."""
    busy = [Lock() for _ in members]

    @torch.inference_mode()
    def seen(batch: Tensor, fold: int) -> tuple[Tensor, Tensor, Tensor]:
        rgb = from_bytes(batch.to(device))
        with busy[fold]:
            _, maps, _, features = members[fold](rgb)
        return mean_color(rgb).cpu(), maps.cpu(), features.cpu()

    described, features = [], []
    batches = product(torch.from_numpy(images).split(BATCH), range(len(members)))
    with one_core_a_thread(device) as threads:
        found = in_order(seen, batches, threads)
        while of_members := list(islice(found, len(members))):
            colors, maps, seen_by = zip(*of_members, strict=True)
            described.append(statistics(colors[0].numpy(), mean(maps).numpy()))
            features.append(joined(seen_by).numpy())
    return np.concatenate(described), np.concatenate(features)
