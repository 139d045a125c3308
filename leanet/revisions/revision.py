"""A state of the project, read without a checkout: a commit, an experiment of DVC's, or the workspace."""

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from leanet.core import paths, settings
from leanet.core.errors import InputError
from leanet.run import lock
from leanet.run.provenance import git

WORKSPACE = "workspace"
# The stages that scores come from.
SCORED = ("download", "split", "augment", "train_unet", "anomaly_maps", "baselines", "train_leanet")


@dataclass(frozen=True)
class Revision:
    """name: as it was asked for. commit: in full; None for the workspace."""

    name: str
    commit: str | None

    def __str__(self) -> str:
        return self.name

    @property
    def said(self) -> str:
        """In one line: commit, day and subject."""
        if self.commit is None:
            return "what lies in this folder"
        return git("log", "-1", "--format=%h, %cs, %s", self.commit)

    @cached_property
    def _repo(self):
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            here = Repo(".")
            if self.commit is None:
                return here
            # A commit may be older than the remote that its results were pushed to.
            remotes = {part: dict(here.config[part]) for part in ("core", "remote")}
            return Repo(".", rev=self.commit, config=remotes)
        except DvcException as error:
            raise InputError(f"{self}: DVC cannot open it ({error}); run from the project's root") from None

    @cached_property
    def _copies(self) -> tempfile.TemporaryDirectory:
        return tempfile.TemporaryDirectory(prefix="leanet-")

    def file(self, path: Path) -> Path:
        """The file at `path` as it was: a copy from git, DVC's cache or remote; only that file is fetched.

        Raises:
            InputError: it is nowhere; the text says what would bring it.
        """
        copy = Path(self._copies.name) / path
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(self._read(path))
        return copy

    def _read(self, path: Path) -> bytes:
        try:
            return self._repo.dvcfs.read_bytes(path.as_posix())
        except Exception as error:  # each kind of remote has errors of its own
            raise self._missing(path, error) from None

    def rows_of(self, path: Path, places: list[int]) -> np.ndarray:
        """These rows of the array in the file `path`; no more of it is fetched.

        Raises:
            InputError: it is nowhere.
        """
        try:
            with self._repo.dvcfs.open(path.as_posix(), "rb") as stream:
                npy.read_magic(stream)
                shape, _, dtype = npy.read_array_header_1_0(stream)
                start, size = stream.tell(), dtype.itemsize * int(np.prod(shape[1:]))
                rows = []
                for place in places:
                    stream.seek(start + place * size)
                    rows.append(np.frombuffer(stream.read(size), dtype).reshape(shape[1:]))
        except Exception as error:
            raise self._missing(path, error) from None
        return np.array(rows, dtype).reshape(-1, *shape[1:])

    def _missing(self, path: Path, error: Exception) -> InputError:
        is_here = self.commit in (None, git("rev-parse", "HEAD"))
        how = "`dvc repro`" if is_here else f"`git checkout {self.name}` and `dvc repro`"
        if not any(path.is_relative_to(out) for out in self.outs):
            return InputError(f"{self} has no {path}: {how} would make it")
        remote = self._repo.config["core"].get("remote")
        if not remote:
            return InputError(f"{self}: {path} is not in DVC's cache, and no remote is set: {how} would make it")
        reason = "" if isinstance(error, FileNotFoundError) else f" ({type(error).__name__}: {error})"
        return InputError(
            f"{self}: {path} is neither in DVC's cache nor in the remote {remote}{reason}: `dvc push` where it "
            f"was computed, or {how}"
        )

    @cached_property
    def params(self) -> dict:
        """What params.yaml says."""
        return settings.parse(self.file(paths.PARAMS))

    @cached_property
    def locked(self) -> dict[str, dict]:
        """The stages of dvc.lock: what their results were made of."""
        try:
            text = self._repo.dvcfs.read_text("dvc.lock")
        except FileNotFoundError:
            return {}
        return lock.stages(text)

    @cached_property
    def outs(self) -> list[Path]:
        """What dvc.lock has a result of."""
        return [Path(out["path"]) for stage in self.locked.values() for out in stage.get("outs", [])]

    @cached_property
    def stale(self) -> list[str]:
        """The stages behind its scores that were run with other code, settings or sources than this state has."""
        stages = [stage for stage in self._repo.index.stages if stage.name.partition("@")[0] in SCORED]
        return sorted(stage.name for stage in stages if _is_stale(stage))


def _is_stale(stage) -> bool:
    """Whether what git keeps of a stage's dependencies is something else than its result was made of."""
    from dvc.dependency import ParamsDependency

    return any(
        dep.status() for dep in stage.deps if isinstance(dep, ParamsDependency) or (dep.is_in_repo and dep.exists)
    )


def find(name: str) -> Revision:
    """The state called so: "workspace", a tag, branch or commit of git's, or an experiment of DVC's.

    Raises:
        InputError: nothing is called so.
    """
    if name == WORKSPACE:
        return Revision(name, None)
    commit = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}") or _experiment(name)
    if not commit:
        raise InputError(
            f"there is no commit, branch, tag or experiment {name}; `dvc exp show` lists experiments, `git fetch` "
            "and `dvc exp pull` bring those of others"
        )
    return Revision(name, commit)


def _experiment(name: str) -> str | None:
    """The commit of an experiment: DVC keeps each under refs/exps/<the commit it began at>/<its name>."""
    for line in git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines():
        commit, _, ref = line.partition(" ")
        if ref.split("/")[2] not in ("celery", "exec") and ref.rpartition("/")[2] == name:
            return commit
    return None
