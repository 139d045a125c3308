"""One data set in two states of the project: each row's scores side by side, and the images that changed sides."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from leanet.core import paths
from leanet.evaluation import predictions
from leanet.evaluation.baselines import BASELINES
from leanet.evaluation.comparison import Comparison, compare_apart, holm
from leanet.evaluation.scores import THRESHOLD, Figure, RowScores, Undefined, at_points, score_row
from leanet.images import imageset
from leanet.revisions import changes
from leanet.revisions.revision import Revision

LEVEL = 0.05
KINDS = ("normal", "anomalous")
SCORES = {  # by their names in leanet.evaluation.scores.RowScores
    "average_precision": "average precision",
    "tuned_f1": "F1, tuned threshold",
    "f1": "F1 at 0.5",
}


@dataclass(frozen=True)
class Result:
    """What a state says of one data set: its images, and what each row predicts of them."""

    manifest: pd.DataFrame
    predictions: dict[str, pd.DataFrame]
    folds: int  # of one cross-validation

    @classmethod
    def of(cls, revision: Revision, dataset: str) -> "Result":
        """Read it; predictions and the list of images are all that is fetched.

        Raises:
            InputError: a part of it is nowhere.
        """
        manifest = imageset.read_manifest(revision.file(paths.split(dataset) / "manifest.csv").parent)
        # Not every baseline was there from the beginning.
        there = [name for name in BASELINES if paths.cv(dataset, name) in revision.outs]
        tables = {
            row: predictions.read(revision.file(paths.cv(dataset, row) / predictions.PREDICTIONS).parent)
            for row in (*revision.params["rows"], *there)
        }
        trained = {row: table for row, table in tables.items() if len(table)}
        return cls(manifest, trained, imageset.folds_of(manifest))


@dataclass(frozen=True)
class Difference:
    """A row's score after and before, and what the difference is worth.

    p: corrected for the number of differences that are looked at (Holm), but for the one named beforehand; None
    where there is no scatter to judge by.
    """

    row: str
    score: str
    before: Figure | None
    after: Figure | None
    test: Comparison | Undefined | None = None
    p: float | None = None

    @property
    def verdict(self) -> str:
        """In plain words."""
        test = self.test
        if test is None:
            return "only after" if self.before is None else "only before"
        if isinstance(test, Undefined):
            return str(test)
        if self.p is None:
            return f"{test.effect:+.3f} in every fold" if test.effect else "the same in every fold"
        low, high = max(test.low, -1), min(test.high, 1)  # no scores differ by more
        between = f"between {low:+.2f} and {high:+.2f}"
        p = f"p = {self.p:.2f}" if self.p >= 0.01 else "p < 0.01"
        if self.p >= LEVEL:
            return f"undecided: {between}" + (f" ({p})" if test.low > 0 or test.high < 0 else "")
        return f"{'better' if test.effect > 0 else 'worse'}: {between} ({p})"


@dataclass(frozen=True)
class Versus:
    """One data set before and after."""

    dataset: str
    before: Result
    after: Result

    @cached_property
    def images(self) -> changes.Images:
        return changes.images(self.before.manifest, self.after.manifest)

    @property
    def paired(self) -> bool:
        """Whether both were tested in the same folds, but for images that are not in both.

        Without images of both classes that both have, there is nothing to pair.
        """
        both = self.images.same_label["label after"].nunique() == 2
        return both and self.before.folds == self.after.folds and self.images.same_folds(self.after.folds)

    @property
    def pairing(self) -> str:
        """How the scores are compared, in words."""
        images = self.images
        if missing := {0, 1} - set(images.same_label["label after"]):
            kinds = " and no ".join(KINDS[label] for label in sorted(missing))
            return f"no {kinds} image is in both, with that label, so nothing can be paired"
        if not self.paired:
            return (
                "the folds are others, so nothing can be paired: the intervals are wider than a paired test's "
                "would be"
            )
        if not images.changed:
            return f"the same {len(images.both)} images in the same folds: paired, fold by fold"
        return f"paired, fold by fold, on the {len(images.same_label)} images that both have with the same label"

    @cached_property
    def rows(self) -> list[str]:
        """Those of networks first, the last of which is named beforehand, then the baselines."""
        named = dict.fromkeys([*self.before.predictions, *self.after.predictions])
        return [row for row in named if row not in BASELINES] + [row for row in named if row in BASELINES]

    @property
    def primary(self) -> str | None:
        """The last row of networks that both have: its average precision was named beforehand."""
        both = [row for row in self.before.predictions if row in self.after.predictions and row not in BASELINES]
        return both[-1] if both else None

    @cached_property
    def _tables(self) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
        """The predictions of both, those paired alone; paths are those after."""
        before, after = self.before.predictions, self.after.predictions
        if not self.paired:
            return before, after
        kept = self.images.same_label
        names = dict(zip(kept["path before"], kept["path after"], strict=True))
        renamed = {row: table.assign(path=table["path"].map(names)) for row, table in before.items()}
        return tuple(
            {row: table[table["path"].isin(kept["path after"])] for row, table in tables.items()}
            for tables in (renamed, after)
        )

    @cached_property
    def unchanged(self) -> list[str]:
        """The rows that give every image the same score before and after."""
        before, after = self._tables
        order = ["fold", "point", "path"]
        same = [
            row
            for row in self.rows
            if row in before
            and row in after
            and before[row]
            .sort_values(order, ignore_index=True)
            .equals(after[row].sort_values(order, ignore_index=True))
        ]
        return same if self.paired else []

    @cached_property
    def scores(self) -> tuple[dict[str, RowScores], dict[str, RowScores]]:
        """Of each row, before and after."""
        return tuple(
            {row: score_row(table, result.folds) for row, table in tables.items()}
            for tables, result in zip(self._tables, (self.before, self.after), strict=True)
        )

    @cached_property
    def differences(self) -> list[Difference]:
        """Of each row and score."""
        made = [self._difference(row, score) for row in self.rows for score in SCORES]
        asked = [each for each in made if isinstance(each.test, Comparison)]
        rest = [each for each in asked if (each.row, each.score) != (self.primary, "average_precision")]
        corrected = iter(holm([each.test.p for each in rest]))
        ps = {(each.row, each.score): next(corrected) if each in rest else each.test.p for each in asked}
        return [
            Difference(each.row, each.score, each.before, each.after, each.test, ps.get((each.row, each.score)))
            for each in made
        ]

    def _difference(self, row: str, score: str) -> Difference:
        before, after = (getattr(scores[row], score) if row in scores else None for scores in self.scores)
        if before is None or after is None:
            return Difference(row, score, before, after)
        if self.paired:
            return Difference(row, score, before, after, after.against(before))
        test = before.undefined or after.undefined
        folds = (self.after.folds, self.before.folds)
        return Difference(row, score, before, after, test or compare_apart(after.folds, before.folds, folds))

    def sides(self, row: str) -> pd.DataFrame:
        """Images that `row` calls otherwise: path (after), label, score before and after; largest change first.

        Scores are means over repeats, at the chosen attention points. Images whose label is another are left out.
        """
        if any(row not in result.predictions for result in (self.before, self.after)):
            return pd.DataFrame(columns=["path", "label", "before", "after"])
        kept = self.images.same_label
        both = pd.DataFrame({"path": kept["path after"], "path before": kept["path before"]})
        both["label"] = kept["label after"].astype(int)
        for when, result, paths_ in (
            ("before", self.before, kept["path before"]),
            ("after", self.after, kept["path after"]),
        ):
            points = score_row(result.predictions[row], result.folds).points
            scores = at_points(result.predictions[row], points).groupby("path")["score"].mean()
            both[when] = paths_.map(scores)
        differ = both[(both["before"] > THRESHOLD) != (both["after"] > THRESHOLD)]
        order = (differ["after"] - differ["before"]).abs().sort_values(ascending=False, kind="stable").index
        return differ.loc[order].reset_index(drop=True)


def versus(before: Revision, after: Revision) -> list[Versus]:
    """Each data set that both states have.

    Raises:
        InputError: a result of one of them is nowhere.
    """
    common = [name for name in after.params["datasets"] if name in before.params["datasets"]]
    return [Versus(name, Result.of(before, name), Result.of(after, name)) for name in common]
