"""The stages of dvc.yaml as params.yaml spells them out: one for each data set, and row."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import yaml

from leanet.core import paths, settings
from leanet.core.files import sha256

FILE = Path("dvc.yaml")
IN_FULL = (".csv", ".json", ".md", "SHA256SUMS")  # how the names of files end that are read to know a result


def address(name: str, names: Sequence[str]) -> str:
    """As DVC writes it, train_leanet@leaf-resnet18."""
    return "@".join([name, "-".join(names)]) if names else name


@dataclass(frozen=True)
class Stage:
    """One stage as DVC runs it.

    names: the data set and row that it is called with. params: dotted keys of params.yaml. deps, outs: relative to
    the project's root; outs with those that DVC does not cache, and metrics.
    """

    name: str
    names: tuple[str, ...]
    params: tuple[str, ...]
    deps: tuple[Path, ...]
    outs: tuple[Path, ...]

    @property
    def address(self) -> str:
        """As DVC writes it, train_leanet@leaf-resnet18."""
        return address(self.name, self.names)

    def settings(self, params: dict) -> dict[str, str]:
        """The part of params.yaml that it depends on, flat: {"split.folds": "5", …}."""
        parts = {key: _look_up(key, params) for key in self.params}
        return {name: str(value) for name, value in settings.flat(parts)}

    @property
    def files(self) -> list[Path]:
        """All files of its outputs that are there."""
        inside = (file for out in self.outs if out.is_dir() for file in sorted(out.rglob("*")) if file.is_file())
        return [*inside, *(out for out in self.outs if out.is_file())]

    @property
    def result(self) -> str:
        """What its outputs are known by: a hash of tables and sums in full, of other files by name and size."""
        digest = hashlib.sha256()
        for file in self.files:
            said = sha256(file) if file.name.endswith(IN_FULL) else file.stat().st_size
            digest.update(f"{file} {said}\n".encode())
        return digest.hexdigest()


def stages(params: dict, file: Path = FILE) -> Iterator[Stage]:
    """Every stage, in the order of the file; params: the content of params.yaml."""
    for name, entry in yaml.safe_load(file.read_text(encoding="utf-8"))["stages"].items():
        if "foreach" in entry:
            axes = {"key": _look_up(entry["foreach"], params)}
            entry = entry["do"]
        else:
            axes = {axis: _look_up(each, params) for axis, each in entry.get("matrix", {}).items()}
        for names in product(*axes.values()):
            values = {f"item.{axis}": one for axis, one in zip(axes, names, strict=True)}
            if "key" in axes:
                values = {"key": names[0]}
                values |= {f"item.{name}": one for name, one in axes["key"][names[0]].items()}
            outs = [*entry.get("outs", []), *entry.get("metrics", [])]
            yield Stage(
                name,
                tuple(names),
                tuple(_filled(key, values) for key in entry.get("params", [])),
                tuple(Path(_filled(dep, values)) for dep in entry.get("deps", [])),
                tuple(Path(_filled(next(iter(out)) if isinstance(out, dict) else out, values)) for out in outs),
            )


def find(name: str, names: Sequence[str]) -> Stage:
    """The stage `name` of params.yaml for these names."""
    every = stages(settings.parse(paths.PARAMS))
    return next(stage for stage in every if (stage.name, stage.names) == (name, tuple(names)))


def _look_up(template: str, params: dict) -> object:
    """What "${sweep.rows}", or sweep.rows, stands for."""
    part = params
    for key in template.removeprefix("${").removesuffix("}").split("."):
        part = part[key]
    return part


def _filled(text: str, values: dict[str, object]) -> str:
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(values[match[1]]), text)
