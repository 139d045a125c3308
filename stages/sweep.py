"""Stage sweep: one row trained again with fewer anomalous images; test folds stay whole (section 4-4, Fig. 4)."""

from leanet import device as devices
from leanet import paths, stage
from leanet.data import imageset
from leanet.params import Params
from leanet.training.cells import cells, save, train


def main(params: Params, dataset: str, row: str) -> dict:
    device = devices.select(params.device)
    dtype = devices.number_format(params.precision, device)
    data = imageset.load(paths.split(dataset), params.split.image_size)
    trainings = train(
        row,
        cells(data, row, [params.sweep.point], params.sweep.shares),
        data,
        lambda fold: imageset.load_maps(paths.maps(dataset), fold, data),
        params,
        device=device,
        dtype=dtype,
        title=f"sweep {row} on {dataset}",
    )
    with paths.whole(paths.sweep(dataset, row)) as folder:
        images = save(trainings, folder)
    return {"device": str(device), "precision": str(dtype), "images_trained": images}


if __name__ == "__main__":
    stage.run("sweep", main)
