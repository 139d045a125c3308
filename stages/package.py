"""Stage package: the chosen row's fold models as one detector for new images."""

from safetensors.numpy import load_file

from leanet.attention.cells import Cell, jobs
from leanet.attention.settings import TrainLEANet
from leanet.color.left_out import name, of_tested
from leanet.color.settings import TrainUNet
from leanet.core import device as devices
from leanet.core import files, paths
from leanet.core.settings import Device, Precision
from leanet.detector.card import card
from leanet.detector.package import assemble, border, choose
from leanet.detector.settings import Package
from leanet.images import counterfactuals, imageset
from leanet.images.settings import Dataset, Split
from leanet.run import kept, stage
from leanet.run.provenance import provenance
from leanet.run.settings import Execution
from leanet.run.trainings import figures, run
from leanet.training.settings import Recipe


def main(
    datasets: dict[str, Dataset],
    rows: list[str],
    split: Split,
    package: Package,
    train_unet: TrainUNet,
    train_leanet: TrainLEANet,
    recipe: Recipe,
    precision: Precision,
    device: Device,
    execution: Execution,
) -> dict:
    dataset = package.dataset or next(iter(datasets))
    data = imageset.load(paths.split(dataset))
    folds = range(data.folds_per_repeat)  # of the first repeat: each image is tested by one member
    row, point, scores = choose(package, rows, dataset, len(folds))

    # The cross-validation kept their weights; what is no longer there is trained once more.
    maps = {fold: imageset.load_maps(paths.maps(dataset), fold, data) for fold in folds}
    cells = [Cell(fold, point) for fold in folds]
    numbers = {"recipe": recipe, "precision": precision}
    altered = counterfactuals.load(paths.split(dataset), paths.maps(dataset))
    trainings = jobs(row, cells, data, maps, train_leanet, **numbers, altered=altered, detector_folds=folds)
    outcomes = run(trainings, execution, device=device, address="package", weights=True)
    testers = [name(of_tested(data, fold, train_unet.out_of_sample)) for fold in folds]
    colourisers = [paths.unet(dataset) / f"{each}.safetensors" for each in testers]
    networks = [kept.weights_file(key) for key in outcomes.keys]
    weights = [(load_file(unet), load_file(network)) for unet, network in zip(colourisers, networks, strict=True)]
    facts = {
        "dataset": dataset,
        "row": row,
        "point": point,
        "recipe": recipe,
        "preparation": vars(split.preparation),
        "unet_width": train_unet.width,
        "map_scale": train_leanet.map_scale,
        "pretrained": train_leanet.pretrained,
        "border": border(dataset, len(folds)),
        "criterion": package.criterion,
        "chosen_among": [package.row] if package.row else rows,
        "cross_validation": scores.numbers,
        "provenance": provenance(dataset, data),
    }
    detector = assemble(facts, weights, data, devices.prepare(device))
    with files.whole(paths.DETECTOR) as folder:
        detector.save(folder)
        (folder / "README.md").write_text(card(detector), encoding="utf-8")
    kept.drop_weights(kept.needed(kept.addresses("train_leanet")) - set(outcomes.keys))
    print(f"{row} of {dataset}: {detector.threshold.summary}")
    for doubt in detector.doubts:
        print(f"note: {doubt}")
    return figures(outcomes)


if __name__ == "__main__":
    stage.run("package", main)
