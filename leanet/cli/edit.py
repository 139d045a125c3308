"""Changing values in params.yaml from the command line; comments stay, and git shows what changed."""

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from leanet.cli.params import load
from leanet.core import files, paths
from leanet.core.errors import InputError
from leanet.core.settings import parse
from leanet.images import sources
from leanet.images.settings import Dataset

FOLDER = Path("settings")


def apply(name: str) -> None:
    """Lay the values of `settings/<name>.yaml` over params.yaml.

    Raises:
        InputError: there is no such file, or it gives a value that is not valid; params.yaml stays.
    """
    load()
    there = {file.stem: file for file in sorted(FOLDER.glob("*.yaml"))}
    if name not in there:
        raise InputError(f"there is no {FOLDER / name}.yaml; there are the settings {', '.join(there)}")
    file = there[name]
    if not isinstance(parse(file), dict):
        raise InputError(f"{file}: expected sections of params.yaml, and in them what is to change")
    _edit(lambda tree: _merge(tree, _yaml().load(file)))


def use(name: str, folder: str | None, positives: int | None, negatives: int | None) -> tuple[str, int, int]:
    """Make `folder`, or the published set `name`, the one data set of params.yaml, called `name`.

    Of a published set as many images are sampled as in the paper, unless told otherwise. Returns the source, and
    how many normal and anomalous images it will be.

    Raises:
        InputError: the folder lacks a class or has fewer images than asked for, or no published set is called
            so; params.yaml stays.
    """
    source = Path(folder) if folder else sources.named(name)
    if folder is None and (paper := sources.paper_counts(source)):
        negatives = negatives or paper[0]
        positives = paper[1] if positives is None else positives
    counts = sources.check(Dataset(str(source), positives, negatives), load().split)

    def replace(tree: CommentedMap) -> None:
        datasets = tree["datasets"]
        entry = datasets[next(iter(datasets))]  # changed in place: the comments behind it stay
        entry.update(source=folder or source.as_posix(), positives=positives, negatives=negatives)
        for old in list(datasets):
            del datasets[old]
        datasets[name] = entry

    _edit(replace)
    return folder or source.as_posix(), *counts


def _yaml() -> YAML:
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    yaml.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    return yaml


def _edit(change) -> None:
    """Change params.yaml; what would not be valid is not written, and what is not valid is not changed."""
    with files.alone(paths.LOGS / paths.PARAMS, f"{paths.PARAMS}: waits for another command that changes it"):
        load()
        yaml = _yaml()
        tree = yaml.load(paths.PARAMS.read_text(encoding="utf-8"))
        change(tree)
        with files.whole_file(paths.PARAMS) as part:
            with part.open("w", encoding="utf-8") as changed:
                yaml.dump(tree, changed)
            try:
                load(part)
            except InputError as error:
                raise InputError(str(error).replace(str(part), str(paths.PARAMS), 1)) from None


def _merge(tree: CommentedMap, changes: CommentedMap) -> None:
    for key, value in changes.items():
        if key not in tree:
            tree[key] = value  # unknown: reading params.yaml again will say so
        elif isinstance(value, CommentedMap) and isinstance(tree[key], CommentedMap):
            _merge(tree[key], value)
        elif isinstance(value, CommentedSeq) and isinstance(tree[key], CommentedSeq):
            tree[key][:] = value  # in place: the comment of the old list stays
            tree[key].fa.set_flow_style()  # an empty list would forget it
        else:
            tree[key] = value
