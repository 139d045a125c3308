"""`python -m benchmarks.attention`: run variants on trials, go on where it was cut off, show a table.

Figures are added to results.csv beside this file; take lines out of it to run them anew.
"""

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path

from benchmarks.attention import results, table, units
from benchmarks.attention.trials import MOST_POSITIVES, RUN
from benchmarks.attention.variants import VARIANTS
from leanet.core.progress import Progress

NAMES = [*VARIANTS, *units.BASELINES, units.COMMITTEE]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("data/attention"),
        help="where colourisers and maps are kept (default: data/attention)",
    )
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
    parser.add_argument("--variants", nargs="+", default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="trainings at a time, each on one core"
    )
    parser.add_argument("--table", action="store_true", help="only show what is there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw it, too")
    arguments = parser.parse_args()
    if unknown := set(arguments.variants) - set(NAMES):
        parser.error(f"there is no variant {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if max(arguments.counts) > MOST_POSITIVES:
        parser.error(f"--counts: at most {MOST_POSITIVES} training positives a fold")
    if not arguments.table:
        run(arguments)
    every = results.read()
    asked = {"set": "sets", "positives": "counts", "seed": "seeds", "variant": "variants"}
    for column, name in asked.items():
        every = every[every[column].isin(getattr(arguments, name))]
    print(table.overview(every))
    print(table.table(every))
    if arguments.picture:
        table.picture(every, arguments.picture)


def run(arguments: argparse.Namespace) -> None:
    """Run what is asked for and not there yet."""
    done = results.done()
    todo = [
        (set_, count, seed, fold, variant)
        for seed, set_, count, variant in product(
            arguments.seeds, arguments.sets, arguments.counts, arguments.variants
        )
        for fold in (range(RUN) if set_ not in units.LEAVES else [0])
        if (set_, count, seed, fold, variant) not in done
    ]
    trials: dict[tuple[str, int], set[str]] = {}  # and the kinds of maps that each needs
    for set_, _, seed, _, variant in todo:
        trials.setdefault((set_, seed), set()).add(units.kind_of(variant))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        arguments.workers, context, initializer=units.start, initargs=(arguments.photographs,)
    ) as pool:
        with Progress(len(trials), "colourisers and maps") as progress:
            for future in [pool.submit(units.prepare, arguments.folder, *each, trials[each]) for each in trials]:
                future.result()
                progress.step()
        with Progress(len(todo), "trainings") as progress:
            for future in as_completed([pool.submit(units.run, arguments.folder, *unit) for unit in todo]):
                results.add(future.result())
                progress.step()


if __name__ == "__main__":
    main()
