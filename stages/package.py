"""Stage package: the chosen row as a detector for new images."""

from leanet.attention.settings import TrainLEANet
from leanet.color.settings import Augment, TrainUNet
from leanet.core import device as devices
from leanet.core import files, paths
from leanet.core.settings import Device, Precision
from leanet.detector.criterion import default
from leanet.detector.detector import Detector
from leanet.images import imageset
from leanet.images.settings import Dataset, Split
from leanet.packaging.card import card
from leanet.packaging.choice import choose, only_map
from leanet.packaging.networks import Networks
from leanet.packaging.package import assemble, save
from leanet.packaging.settings import Package
from leanet.run import kept, stage
from leanet.run.provenance import provenance
from leanet.run.settings import Execution
from leanet.run.trainings import figures
from leanet.training.settings import Recipe


def main(
    datasets: dict[str, Dataset],
    rows: list[str],
    split: Split,
    package: Package,
    augment: Augment,
    train_unet: TrainUNet,
    train_leanet: TrainLEANet,
    recipe: Recipe,
    precision: Precision,
    device: Device,
    execution: Execution,
) -> dict:
    dataset = package.dataset or next(iter(datasets))
    data = imageset.load(paths.split(dataset))
    folds = data.folds_per_repeat  # of the first repeat: each image is tested by one network
    choice = choose(package, rows, dataset, folds, data.side) if data.has_both else only_map(dataset, folds)

    sections = {"split": split, "augment": augment, "train_unet": train_unet, "train_leanet": train_leanet}
    how = {"recipe": recipe, "precision": precision, "device": device, "execution": execution}
    networks = Networks(choice.row, choice.point, data, dataset, **sections, **how)
    weights, outcomes = networks.of_folds()
    # The promise rests on the colourisers of all folds: one of them alone may be another than most.
    kind = package.kind if data.has_both else "ensemble"
    light, keys = networks.light() if kind == "light" else (None, [])
    keys += outcomes.keys
    kept.need("package", keys)
    facts = {
        "kind": kind,
        "dataset": dataset,
        "recipe": recipe,
        "preparation": vars(split.preparation),
        "unet_width": train_unet.width,
        "map_scale": train_leanet.map_scale,
        "pretrained": train_leanet.pretrained,
        "criterion": package.criterion or default(anomalous=data.has_both),
        "provenance": provenance(dataset, data),
        **choice.facts,
    }
    with files.whole(paths.DETECTOR) as folder:
        save(folder, *assemble(facts, weights, light, data, devices.prepare(device)), data.images)
        detector = Detector.load(folder, "cpu")
        (folder / "README.md").write_text(card(detector), encoding="utf-8")
    kept.drop_weights(kept.needed(kept.addresses("train_leanet")) - set(keys))
    notes = detector.doubts
    if package.criterion is None:
        there = "there are anomalous images" if data.has_both else "there is no anomalous image"
        notes = [f"package.criterion is null: {facts['criterion']}, since {there}", *notes]
    print(f"{choice.row} of {dataset}: {detector.threshold.summary}", *map("note: {}".format, notes), sep="\n")
    return figures(outcomes)


if __name__ == "__main__":
    stage.run("package", main)
