"""What differs between two states of the project before anything is trained: settings, code and images."""

from collections import defaultdict
from dataclasses import dataclass

import pandas as pd

from leanet.core.settings import flat
from leanet.revisions.revision import Revision

CODE = ("leanet/", "stages/", "settings/")
ABSENT = "absent"


def params(before: Revision, after: Revision) -> dict[str, tuple[object, object]]:
    """Settings that differ, by dotted key; ABSENT where there is none."""
    ours, theirs = dict(flat(after.params)), dict(flat(before.params))
    keys = [*ours, *(key for key in theirs if key not in ours)]
    both = {key: (theirs.get(key, ABSENT), ours.get(key, ABSENT)) for key in keys}
    return {key: (old, new) for key, (old, new) in both.items() if old != new}


def code(before: Revision, after: Revision) -> dict[str, list[str]]:
    """Folders and files of code that differ and that results were made by, with the stages of these.

    As dvc.lock says; stages that only one of both has are left out.
    """
    ours, theirs = _code(after), _code(before)
    stages: dict[str, list[str]] = defaultdict(list)
    for (stage, path), sums in ours.items():
        if (stage, path) in theirs and theirs[stage, path] != sums:
            stages[path].append(stage)
    return dict(stages)


def _code(revision: Revision) -> dict[tuple[str, str], set[str]]:
    """The hashes of code by the kind of stage, such as split, and the path."""
    sums = defaultdict(set)
    for name, stage in revision.locked.items():
        for dep in stage.get("deps", []):
            if dep["path"].startswith(CODE):
                sums[name.partition("@")[0], dep["path"]].add(dep["md5"])
    return dict(sums)


@dataclass(frozen=True)
class Images:
    """The images of a data set in two states, known by what is in their files.

    both: those of both, with path, label and the fold of each repeat, each ending in " before" and " after".
    """

    added: list[str]
    removed: list[str]
    both: pd.DataFrame

    @property
    def relabelled(self) -> pd.DataFrame:
        """Those of both whose label is another."""
        return self.both[self.both["label before"] != self.both["label after"]]

    @property
    def same_label(self) -> pd.DataFrame:
        """The others of both."""
        return self.both[self.both["label before"] == self.both["label after"]]

    @property
    def changed(self) -> bool:
        return bool(self.added or self.removed or len(self.relabelled))

    def same_folds(self, folds: int) -> bool:
        """Whether each image of both that has kept its label is tested in the same one of `folds` folds.

        That is so in every repeat, and no fold is left without images.
        """
        before, after = (
            self.same_label.filter(regex=rf"^repeat\d+ {when}$").to_numpy(int) for when in ("before", "after")
        )
        whole = before.shape == after.shape and (before == after).all()
        return bool(whole) and all(len(set(repeat)) == folds for repeat in after.T)


def images(before: pd.DataFrame, after: pd.DataFrame) -> Images:
    """What differs between two manifests (leanet.images.imageset)."""
    merged = _numbered(before).merge(
        _numbered(after), on=["sha256", "copy"], how="outer", suffixes=(" before", " after"), indicator=True
    )
    sides = {side: merged[merged["_merge"] == side] for side in ("left_only", "right_only", "both")}
    return Images(
        added=sorted(sides["right_only"]["path after"]),
        removed=sorted(sides["left_only"]["path before"]),
        both=sides["both"].sort_values("path after").reset_index(drop=True),
    )


def _numbered(manifest: pd.DataFrame) -> pd.DataFrame:
    """With a number for each image of the same content, so that copies are told apart."""
    ordered = manifest.sort_values(["sha256", "path"])
    columns = ["path", "sha256", "label", *manifest.filter(regex=r"^repeat\d+$").columns]
    numbered = ordered[columns].assign(copy=ordered.groupby("sha256").cumcount())
    return numbered.astype({column: "Int64" for column in columns[2:]})
