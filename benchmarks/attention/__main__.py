"""`python -m benchmarks.attention FOLDER`: run variants on trials, resume what is there, show a table.

What is run is kept in FOLDER: remove it after a change of the code.
"""

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

from benchmarks.attention import table, units
from benchmarks.attention.trials import FOLDS, MOST_POSITIVES
from benchmarks.attention.variants import VARIANTS
from leanet.core.progress import Progress


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=__doc__)
    parser.add_argument("folder", type=Path, help="of what is kept")
    parser.add_argument(
        "--sets", nargs="+", default=["medium", "hard"], help="of " + ", ".join(units.LEAVES) + ", or folders"
    )
    parser.add_argument(
        "--photographs",
        type=Path,
        default=Path(),
        help="where folders of photographs are; NAME-filled fills their backgrounds",
    )
    parser.add_argument("--counts", nargs="+", type=int, default=[5, 20], help="training positives a fold")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), metavar="NAME", help=", ".join(VARIANTS))
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="trainings at a time, each on one core"
    )
    parser.add_argument("--table", action="store_true", help="only show what is there")
    arguments = parser.parse_args()
    if unknown := set(arguments.variants) - VARIANTS.keys():
        parser.error(f"there is no variant {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    if max(arguments.counts) > MOST_POSITIVES:
        parser.error(f"--counts: at most {MOST_POSITIVES} training positives a fold")
    if not arguments.table:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            arguments.workers, context, initializer=units.start, initargs=(arguments.photographs,)
        ) as pool:
            for step, todo in (
                (units.prepare, list(product(arguments.sets, arguments.seeds))),
                (
                    units.run,
                    [
                        (set_, seed, fold, count, name)
                        for seed, count, set_, name in product(
                            arguments.seeds, arguments.counts, arguments.sets, arguments.variants
                        )
                        for fold in (range(FOLDS) if set_ not in units.LEAVES else [0])
                    ],
                ),
            ):
                with Progress(len(todo), step.__name__) as progress:
                    for future in [pool.submit(step, arguments.folder, *unit) for unit in todo]:
                        future.result()
                        progress.step()
    print(table.table(arguments.folder, arguments.sets, arguments.counts, arguments.seeds, arguments.variants))


if __name__ == "__main__":
    main()
