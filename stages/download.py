"""Stage download: bring a data set to data/raw (section 4-1)."""

from pathlib import Path

from leanet.core import files, paths
from leanet.images import sources
from leanet.images.settings import Dataset
from leanet.run import stage


def main(dataset: str, datasets: dict[str, Dataset]) -> None:
    with files.whole(paths.raw(dataset)) as folder:
        sources.fetch(Path(datasets[dataset].source), folder)


if __name__ == "__main__":
    stage.run("download", main)
