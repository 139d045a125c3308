"""The images of a trial, cut into folds, and their maps of several kinds: what all variants of a seed share.

Made-up leaves: 120 normal ones and up to 40 anomalous ones to train on, 500 and 500 others to test on. A seed
draws them anew, so seeds are independent. Photographs: a sample cut into five folds, each tested by networks
of the others, and 200 anomalous images that were never sampled, which every fold is tested on; one fold is run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from leanet.color import fancy_pca
from leanet.color.anomaly_map import not_filled, recolor
from leanet.color.colorize import fit_unet
from leanet.color.lab import ciede2000, from_bytes, rgb_to_lab
from leanet.color.left_out import LeftOut, colourisers, makers, name, of_tested
from leanet.color.settings import TrainUNet
from leanet.color.unet import UNet
from leanet.core import device as devices
from leanet.core import files
from leanet.images import layout, leaf
from leanet.images.decoding import decode
from leanet.images.imageset import ImageSet
from leanet.images.preparation import prepare
from leanet.images.sampling import assign_folds, sample
from leanet.images.settings import Preparation
from leanet.training.job import Place
from leanet.training.ondevice import OnDevice
from leanet.training.recipe import turned

SIDE = 64
NORMALS, MOST_POSITIVES, TESTED = 120, 40, 500  # leaves; of each class that is tested
PHOTOGRAPHED = 152, 50  # normal and anomalous ones
UNSAMPLED = 200  # photographs, anomalous ones beside the sample
FOLDS = 5
RUN = 1  # of them, for each seed: more seeds tell more than more folds of one
UNET = TrainUNet(
    epochs=30,
    patience=30,
    batch_size=16,
    learning_rate=0.003,
    betas=[0.9, 0.999],
    dropout=0.5,
    width=32,
    out_of_sample=True,
    seed=0,
)
STD = 0.1  # of Fancy PCA
MIRRORS = [(a, d, g) for a in (False, True) for d in (False, True) for g in (False, True)]


@dataclass(frozen=True)
class Trial:
    """Images and folds of one set and seed.

    images: uint8 (N, side, side, 3). labels: (N,). fold_of: (N,) the fold that an image is tested in; -1 for those
    that every fold is tested on. folds: those that are run.
    """

    images: np.ndarray
    labels: np.ndarray
    fold_of: np.ndarray
    folds: tuple[int, ...]
    filled: bool = False  # whether backgrounds are

    def tested(self, fold: int) -> np.ndarray:
        return np.flatnonzero((self.fold_of == fold) | (self.fold_of == -1))

    def trained(self, fold: int, positives: int, seed: int) -> np.ndarray:
        """All normal images outside of the fold, and so many anomalous ones; fewer are parts of more."""
        train = np.flatnonzero((self.fold_of != fold) & (self.fold_of != -1))
        of_class = [train[self.labels[train] == label] for label in (0, 1)]
        kept = np.random.default_rng([seed, fold]).permutation(of_class[1])[:positives]
        return np.sort(np.concatenate([of_class[0], kept]))

    @property
    def as_set(self) -> ImageSet:
        """Without the images of no fold, as leanet.color.left_out takes it."""
        kept = self.fold_of >= 0
        manifest = pd.DataFrame({"label": self.labels[kept], "repeat1": self.fold_of[kept]})
        return ImageSet(self.images[kept], manifest)


def leaves(difficulty: str, seed: int) -> Trial:
    """Fold 0 is tested, folds 1 to 4 are trained on."""
    drawn = [
        leaf.draw(
            np.random.default_rng([seed, number, label, i]), SIDE, anomalous=bool(label), difficulty=difficulty
        )
        for number, counts in enumerate(((NORMALS, MOST_POSITIVES), (TESTED, TESTED)))
        for label, count in enumerate(counts)
        for i in range(count)
    ]
    trained = np.repeat([0, 1], [NORMALS, MOST_POSITIVES])
    fold_of = np.zeros(len(drawn), int)
    fold_of[: len(trained)] = 1 + assign_folds(trained, np.arange(len(trained)), FOLDS - 1, seed)
    labels = np.concatenate([trained, np.repeat([0, 1], TESTED)])
    return Trial(np.stack([each.image for each in drawn]), labels, fold_of, folds=(0,))


def photographs(folder: Path, seed: int, *, fill: bool) -> Trial:
    """PHOTOGRAPHED normal and anomalous images in `folder`, in five folds, and UNSAMPLED more anomalous ones."""
    items = layout.read(folder)
    normals, positives = PHOTOGRAPHED
    sampled = sample(items, (normals, positives), seed)
    taken = {item.path for item in sampled}
    rest = sample([item for item in items if item.label and item.path not in taken], (0, UNSAMPLED), seed)
    how = Preparation(border=0.05, white_balance=False, background="fill" if fill else "keep")
    images = [prepare(decode(folder / item.path, SIDE), how)[0] for item in (*sampled, *rest)]
    labels = np.array([item.label for item in sampled])
    fold_of = assign_folds(labels, np.arange(len(labels)), FOLDS, seed)
    return Trial(
        np.stack(images),
        np.concatenate([labels, np.ones(len(rest), int)]),
        np.concatenate([fold_of, np.full(len(rest), -1)]),
        folds=tuple(range(RUN)),
        filled=fill,
    )


def write_maps(trial: Trial, seed: int, kind: str, folder: Path) -> None:
    """Write the maps of a kind, float16 (N, C, side, side), of all images for each fold: `<kind><fold>.npy`.

    own, C = 1: ΔE₀₀ in sample, as in the paper. pair, C = 4: ΔE₀₀, Δa*, Δb* (image less recoloured) out of
    sample, and the ΔE₀₀ that normal images show on average where L* is the same. turns, C = 4: ΔE₀₀, Δa*, Δb* of
    the mean over eight turns, and how far the turns' colours spread.
    The colourisers that it takes are trained, and kept in `folder`.
    """
    data = trial.as_set
    out_of_sample = kind != "own"
    every, made_by = colourisers(data, out_of_sample), makers(data, out_of_sample)
    for fold in trial.folds:
        by = np.empty(len(trial.labels), int)
        by[trial.fold_of >= 0] = made_by[fold]
        by[trial.fold_of == -1] = every.index(of_tested(data, fold, out_of_sample))
        maps = np.empty((len(by), 1 if kind == "own" else 4, SIDE, SIDE), np.float16)
        for number in np.unique(by):
            network = colouriser(data, every[number], seed, folder)
            for batch, rgb in batches(trial.images, np.flatnonzero(by == number)):
                kept = not_filled(rgb)[:, None] if trial.filled else 1
                maps[batch] = (maps_of(network, rgb_to_lab(rgb), kind) * kept)[:, : maps.shape[1]]
        if kind == "pair":
            normals = np.flatnonzero((trial.labels == 0) & (trial.fold_of != fold) & (trial.fold_of != -1))
            maps[:, 3] = expected(maps, normals)
        with files.whole_file(folder / f"{kind}{fold}.npy") as part, part.open("wb") as stream:
            np.save(stream, maps)


def colouriser(data: ImageSet, left_out: LeftOut, seed: int, folder: Path) -> UNet:
    file = folder / f"{name(left_out)}.pt"
    if not file.exists():
        with files.whole_file(file) as part:
            torch.save(train_colouriser(data, left_out, seed).state_dict(), part)
    network = UNet(side=SIDE, width=UNET.width, dropout=UNET.dropout).eval()
    network.load_state_dict(torch.load(file, weights_only=True))
    return network


def train_colouriser(data: ImageSet, left_out: LeftOut, seed: int) -> UNet:
    device = torch.device("cpu")
    normals = data.normals(*left_out)
    basis = fancy_pca.fit(data.images[i] for i in normals)
    network, _ = fit_unet(
        OnDevice(data.images, normals, device),
        basis,
        STD,
        UNET,
        Place(device, None, lambda loss: None),
        recipe="fast",
        number=int(np.random.SeedSequence([seed, *left_out]).generate_state(1)[0] % 2**31),
        dtype=devices.number_format("auto", device),
    )
    return network


def batches(images: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
    for batch in np.array_split(chosen, max(1, len(chosen) // 32)):
        yield batch, from_bytes(torch.from_numpy(images[batch]))


@torch.inference_mode()
def maps_of(network: UNet, lab: Tensor, kind: str) -> Tensor:
    """Maps (N, 4, side, side) of images in L*a*b*, as in `write_maps`; in `pair` the last is L* as yet."""
    recolored = []
    for mirrors in MIRRORS if kind == "turns" else MIRRORS[:1]:
        mirrors = [torch.tensor(mirror) for mirror in mirrors]
        colors = recolor(network, turned(lab, *mirrors))
        # Undone from the last to the first: a mirror is its own inverse.
        colors = turned(colors, torch.tensor(False), torch.tensor(False), mirrors[2])
        recolored.append(turned(colors, mirrors[0], mirrors[1], torch.tensor(False)))
    colors = torch.stack(recolored).mean(0)
    last = lab[:, :1]
    if kind == "turns":
        last = torch.stack(recolored).std(0)[:, 1:].norm(dim=1, keepdim=True)
    return torch.cat((ciede2000(colors, lab)[:, None], (lab - colors)[:, 1:], last), dim=1)


def expected(pair: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """What ΔE₀₀ the images `normals` show on average where L* is what it is: (N, side, side)."""
    edges = np.linspace(0, 100, 41)[1:-1]
    bins = np.digitize(pair[:, 3].astype(np.float32), edges)
    of_normals, maps = bins[normals].ravel(), pair[normals, 0].astype(np.float32).ravel()
    total, count = np.bincount(of_normals, maps, 40), np.bincount(of_normals, minlength=40)
    overall = maps.mean()
    return ((total + 100 * overall) / (count + 100))[bins]
