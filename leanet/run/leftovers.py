"""Results of rows and data sets that params.yaml no longer names."""

import shutil

from leanet.core import paths
from leanet.evaluation.baselines import BASELINES


def drop(datasets: list[str], rows: list[str], swept_rows: list[str]) -> None:
    """Remove what rows and data sets that params.yaml no longer names left in the folders that stages read.

    DVC depends on the folders as a whole: with leftovers in them, the same results would have another hash on
    a machine that never ran them. They stay in DVC's cache, and come back with the row.
    """
    by_row = {paths.CV: rows, paths.SWEEP: swept_rows}
    by_dataset = (paths.SPLIT, paths.AUGMENT, paths.UNET, paths.MAPS, paths.LOCALIZATION, *by_row)
    left = [entry for root in by_dataset for entry in root.glob("*") if entry.stem not in datasets]
    for root, named in by_row.items():
        left += [folder for folder in root.glob("*/*/") if folder.name not in (*named, *BASELINES)]
    for entry in left:
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.suffix == ".json":  # of stage augment; DVC keeps its .gitignore beside it
            entry.unlink()
