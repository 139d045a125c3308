"""Stage download: bring a data set to data/raw (section 4-1)."""

from pathlib import Path

from leanet import paths, stage
from leanet.data import sources
from leanet.params import Params


def main(params: Params, dataset: str) -> None:
    with paths.whole(paths.raw(dataset)) as folder:
        sources.fetch(Path(params.datasets[dataset].source), folder)


if __name__ == "__main__":
    stage.run("download", main)
