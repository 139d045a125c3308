"""`leanet search`: settings of train_leanet that score better, and what that is worth."""

import argparse
import hashlib
import io
import json
import sys
from contextlib import redirect_stderr
from dataclasses import asdict

from leanet.cli import params
from leanet.core import paths
from leanet.core.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("axis", nargs="+", help="such as 'train_leanet.learning_rate=loguniform(1e-4, 1e-2)'")
    parser.add_argument("--trials", type=int, default=20, help="of each of the searches (default: %(default)s)")
    parser.add_argument("--dataset", help="(default: the first of params.yaml)")
    parser.add_argument("--row", help="(default: the last of params.yaml)")
    parser.add_argument("--point", type=int, help="attention point (default: the first of params.yaml)")
    parser.add_argument("--seed", type=int, default=1, help="of what is tried (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    from leanet.attention.cells import points_of
    from leanet.images import imageset
    from leanet.run import trainings
    from leanet.search.nested import Search
    from leanet.search.space import SECTION, Axis, with_values
    from leanet.training.job import Job, Outcome

    axes = [Axis.parse(text) for text in arguments.axis]
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{SECTION}{name} is named twice")
    if arguments.trials < 1:
        raise InputError(f"--trials is {arguments.trials}, expected at least 1")
    settings = params.load()
    dataset = _one("dataset", arguments.dataset, list(settings.datasets), 0)
    row = _one("row", arguments.row, settings.rows, -1)
    point = _one("point", arguments.point, points_of(row, settings.train_leanet.points), 0)
    for axis in axes:  # what is not valid is said before hours of training
        for value in axis.values:
            with_values(settings.train_leanet, {axis.name: value})

    def _run(jobs: list[Job]) -> list[Outcome]:
        with redirect_stderr(io.StringIO()) as said:  # of so few at a time, progress is no news
            outcomes = trainings.run(jobs, settings.execution, device=settings.device, address="search")
        warnings = [line for line in said.getvalue().splitlines() if line.startswith("warning")]
        print(*warnings, sep="\n", end="\n" * bool(warnings), file=sys.stderr)
        return list(outcomes)

    data = imageset.load(paths.split(dataset))
    if not data.has_both:
        raise InputError(f"{dataset} has no anomalous images to learn from, so no row is trained on it")
    maps = {fold: imageset.load_maps(paths.maps(dataset), fold, data) for fold in range(data.folds_per_repeat)}
    what = [
        dataset,
        row,
        point,
        arguments.seed,
        *map(asdict, axes),
        asdict(settings.train_leanet),
        settings.recipe,
    ]
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]
    found = Search(
        row=row,
        point=point,
        axes=axes,
        base=settings.train_leanet,
        data=data,
        maps=maps,
        recipe=settings.recipe,
        precision=settings.precision,
        folder=paths.LOGS / "search" / key,
        run=_run,
        seed=arguments.seed,
        said=lambda line: print(line, file=sys.stderr),
    ).find(arguments.trials)

    print(f"{row} on {dataset}, {found.trials} trials, {found.pruned} of them given up early; average precision:")
    print(f"  the settings of params.yaml: {found.own}")
    print(f"  the best found, on the folds that it was chosen by: {found.flattered}, which flatters it")
    against = found.nested.against(found.own)
    print(f"  on folds that no search saw: {found.nested}; against the settings of params.yaml, {against}")
    changes = " ".join(f"-S {SECTION}{name}={value}" for name, value in found.best.items())
    print(f"to take the best over: dvc exp run {changes}")


def _one(what: str, asked: object, known: list, default: int) -> object:
    if asked is None:
        return known[default]
    if asked not in known:
        raise InputError(f"there is no {what} {asked}; there are {', '.join(map(str, known))}")
    return asked
