"""The networks of a detector: those of the folds, and the light one, of all images.

The light network is the row and its colouriser, trained once more as a fold trains them. In each fold, the
networks that never saw its test images stand for it there: they were trained alike, on a fold less.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from leanet.attention.cells import Cell, jobs
from leanet.attention.rows import MAP_ONE_CLASS
from leanet.attention.settings import TrainLEANet
from leanet.color import fancy_pca
from leanet.color.anomaly_map import make_maps
from leanet.color.colorize import job
from leanet.color.left_out import colourisers, name, of_tested
from leanet.color.one_class import OneClass
from leanet.color.settings import Augment, TrainUNet
from leanet.color.unet import UNet
from leanet.core import device as devices
from leanet.core import paths
from leanet.core.arrays import ArrayFile
from leanet.core.settings import Device, Precision
from leanet.images import counterfactuals, imageset
from leanet.images.imageset import ImageSet
from leanet.images.settings import Split
from leanet.run import kept
from leanet.run.settings import Execution
from leanet.run.trainings import Outcomes, run
from leanet.training.job import Job
from leanet.training.settings import Recipe
from leanet.training.weights import put, read

Weights = list[list[dict[str, Tensor]]]  # of networks, those of colouriser and row by their names


@dataclass(frozen=True)
class Networks:
    """Trains the networks of `row` at `point` (0: none), or looks up those that are kept.

    In place of a row's network, MAP_ONE_CLASS has what is known of the maps of normal images.
    """

    row: str
    point: int
    data: ImageSet
    dataset: str
    split: Split
    augment: Augment
    train_unet: TrainUNet
    train_leanet: TrainLEANet
    recipe: Recipe
    precision: Precision
    device: Device
    execution: Execution

    def of_folds(self) -> tuple[Weights, Outcomes]:
        """Of each fold of the first repeat: the weights of colouriser and network, and what its training came to.

        The cross-validation kept their weights; what is no longer there is trained once more.
        """
        folds = range(self.data.folds_per_repeat)
        maps = {fold: imageset.load_maps(paths.maps(self.dataset), fold, self.data) for fold in folds}
        altered = counterfactuals.load(paths.split(self.dataset), paths.maps(self.dataset))
        networks, outcomes = self._judges(maps, altered=altered)
        testers = [name(of_tested(self.data, fold, self.train_unet.out_of_sample)) for fold in folds]
        colourisers = [read(paths.unet(self.dataset) / f"{each}.safetensors") for each in testers]
        return [list(pair) for pair in zip(colourisers, networks, strict=True)], outcomes

    def light(self) -> tuple[list[dict[str, Tensor]], list[str]]:
        """The weights of colouriser and network, and the keys of both trainings."""
        data, settings = self.data, self.train_unet
        basis = fancy_pca.fit(data.images[i] for i in data.normals())
        number = len(colourisers(data, settings.out_of_sample))
        numbers = {"recipe": self.recipe, "precision": self.precision}
        unet = self._run([job(data, (), basis, self.augment, settings, number=number, **numbers)])
        (colouriser,) = _weights(unet)
        file = paths.KEPT / "package-maps.npy"  # one name: what a kill leaves, the next run takes for its own
        try:
            maps = ArrayFile.create(file, np.float16, data.images.shape[:3])
            for batch, made in self._own_maps(colouriser):
                maps[batch] = made
            beyond = len(data.folds)  # a fold that tests no image, and trains on all
            (network,), outcomes = self._judges({beyond: maps})
        finally:
            file.unlink(missing_ok=True)
        return [colouriser, network], [*unet.keys, *outcomes.keys]

    def _judges(self, maps: dict[int, ArrayFile], **options) -> tuple[list[dict[str, Tensor]], Outcomes]:
        """By fold, the weights of what judges by the maps, and what its training came to, if it is trained."""
        if self.row == MAP_ONE_CLASS:
            fitted = [OneClass.fit(of_fold, self.data.normals(fold)) for fold, of_fold in maps.items()]
            return [each.state_dict() for each in fitted], Outcomes([])
        outcomes = self._run(self._jobs(maps, **options))
        return _weights(outcomes), outcomes

    def _own_maps(self, colouriser: dict[str, Tensor]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """A batch of images at a time, and their maps to train on.

        As in a fold: where maps are to be out of sample, of colourisers that have not seen the image, else of its
        own.
        """
        data = self.data
        if self.train_unet.out_of_sample:
            for fold in range(data.folds_per_repeat):
                tested, maps = data.tested(fold), imageset.load_maps(paths.maps(self.dataset), fold, data)
                for batch in np.split(tested, range(256, len(tested), 256)):
                    yield batch, maps[batch]
            return
        network = UNet(side=data.side, width=self.train_unet.width, dropout=0)
        put(network, colouriser)
        device = devices.prepare(self.device)
        how = {"device": device, "dtype": devices.number_format(self.precision, device)}
        filled = self.split.background == "fill"
        for batch, maps, _ in make_maps(
            network.to(device), data.images, np.arange(len(data.labels)), filled=filled, **how
        ):
            yield batch, maps

    def _jobs(self, maps: dict[int, ArrayFile], **options) -> list[Job]:
        cells = [Cell(fold, self.point) for fold in maps]
        numbers = {"recipe": self.recipe, "precision": self.precision}
        return jobs(self.row, cells, self.data, maps, self.train_leanet, detector_folds=maps, **numbers, **options)

    def _run(self, trainings: list[Job]) -> Outcomes:
        return run(trainings, self.execution, device=self.device, address="package", weights=True)


def _weights(outcomes: Outcomes) -> list[dict[str, Tensor]]:
    return [read(kept.weights_file(key)) for key in outcomes.keys]
