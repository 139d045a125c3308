"""The search: one for each test fold, on images outside of it, and one on all, which finds the settings to use.

The best of fifty flatters itself: its score was chosen for being high. So each fold's images are kept from a
search of its own; what that search finds best is trained on all other folds and scored on the one that it never
saw. The mean of these scores is an honest estimate of what searching this way is worth (nested cross-validation:
Varma & Simon 2006, "Bias in error estimation when using cross-validation for model selection").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import optuna

from leanet.attention.cells import Cell, jobs
from leanet.attention.settings import TrainLEANet
from leanet.core import paths
from leanet.core.arrays import ArrayFile
from leanet.core.errors import InputError
from leanet.core.settings import Precision
from leanet.evaluation.scores import Figure, Undefined, score_images
from leanet.images.imageset import ImageSet
from leanet.search.space import Axis, with_values
from leanet.training.job import Job, Outcome
from leanet.training.settings import Recipe

STARTUP = 5  # trials that are drawn at random, and are not pruned
Run = Callable[[list[Job]], list[Outcome]]


@dataclass(frozen=True)
class Found:
    """What a search came to; all scores are average precision by test fold, of the first repeat.

    best: the values of all images' search. flattered: its score, on the folds that it was chosen by. nested: what
    searching is worth. own: that of the settings which were there before. pruned: trials that were given up early,
    of all searches.
    """

    best: dict[str, object]
    flattered: Figure
    nested: Figure
    own: Figure
    pruned: int
    trials: int


@dataclass(frozen=True)
class Search:
    """One row at one attention point, and what is searched.

    maps: by fold, as leanet.attention.cells.jobs takes them. folder: of the searches' journals; a search that was
    cut off goes on from there. run: does trainings, and finds those that were done before.
    """

    row: str
    point: int
    axes: list[Axis]
    base: TrainLEANet
    data: ImageSet
    maps: Mapping[int, ArrayFile]
    recipe: Recipe
    precision: Precision
    folder: Path
    run: Run
    seed: int = 1
    said: Callable[[str], None] = field(default=print)

    @property
    def folds(self) -> range:
        return range(self.data.folds_per_repeat)

    def find(self, trials: int) -> Found:
        """Search, with so many trials on the images outside of each fold, and on all.

        Raises:
            InputError: there are fewer than three folds, or one has images of one class alone.
        """
        if len(self.folds) < 3:
            raise InputError(f"{paths.PARAMS}: split.folds is {len(self.folds)}, expected at least 3 for a search")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(self.folder / "journal.log"))
        )
        studies = {left_out: self._study(storage, left_out) for left_out in (None, *self.folds)}
        each = len(self.folds) ** 2  # of all images' search k, of each other k - 1
        self.said(
            f"{trials} trials of at most {each} trainings; if it is cut off, the same command goes on from there"
        )
        for number in range(trials):
            self._trial(studies, number)
            best = studies[None].best_value if _completed(studies[None]) else float("nan")
            self.said(f"trial {number + 1} of {trials}: best average precision so far {best:.3f}")
        best = studies[None].best_params
        chosen = {fold: with_values(self.base, studies[fold].best_params) for fold in self.folds}
        ended = [trial for study in studies.values() for trial in _ended(study)]
        return Found(
            best=best,
            flattered=self._figure(dict.fromkeys(self.folds, with_values(self.base, best))),
            nested=self._figure(chosen),
            own=self._figure(dict.fromkeys(self.folds, self.base)),
            pruned=sum(trial.state == optuna.trial.TrialState.PRUNED for trial in ended),
            trials=len(ended),
        )

    def _study(self, storage, left_out: int | None) -> optuna.Study:
        study = optuna.create_study(
            storage=storage,
            study_name="all" if left_out is None else f"without-{left_out}",
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_min_trials=STARTUP),
        )
        for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # it was cut off
        return study

    def _trial(self, studies: dict[int | None, optuna.Study], number: int) -> None:
        """One trial of each search that has not had it, fold by fold side by side; the hopeless are given up."""
        under_way = {}
        for place, (left_out, study) in enumerate(studies.items()):
            if len(_ended(study)) > number:
                continue
            # A sampler of its own: what it draws is the same whether or not the search was cut off before.
            study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=STARTUP, seed=self.seed * 1_000_003 + number * 101 + place
            )
            trial = study.ask()
            values = {axis.name: axis.suggest(trial) for axis in self.axes}
            under_way[left_out] = (trial, with_values(self.base, values), [])
        for place in range(len(self.folds)):
            asked = {}
            for left_out, (_, settings, _) in under_way.items():
                tested = [fold for fold in self.folds if fold != left_out]
                if place < len(tested):
                    asked[left_out] = self._job(settings, tested[place], left_out)
            for left_out, score in zip(asked, self._scores(list(asked.values())), strict=True):
                trial, _, scores = under_way[left_out]
                scores.append(score)
                trial.report(float(np.mean(scores)), place)
                if trial.should_prune():
                    studies[left_out].tell(trial, state=optuna.trial.TrialState.PRUNED)
                    del under_way[left_out]
        for left_out, (trial, _, scores) in under_way.items():
            studies[left_out].tell(trial, float(np.mean(scores)))

    def _job(self, settings: TrainLEANet, tested: int, left_out: int | None) -> Job:
        """The training that is tested in a fold, on neither its images nor those of the fold left out.

        With a fold left out, maps are of that fold's U-Net: those without both folds are not made. It has seen
        normal images of the tested fold, so the scores that a search chooses by are a little too good. The nested
        one is not.
        """
        maps = {tested: self.maps[tested if left_out is None else left_out]}
        how = {"recipe": self.recipe, "precision": self.precision}
        (job,) = jobs(self.row, [Cell(tested, self.point)], self.data, maps, settings, **how)
        if left_out is None:
            return job
        train = np.setdiff1d(job.arrays["train"], self.data.tested(left_out))
        return replace(job, name={"left_out": left_out, **job.name}, arrays=job.arrays | {"train": train})

    def _scores(self, trainings: list[Job]) -> list[float]:
        """The average precision of each training on its test images.

        Raises:
            InputError: a fold has images of one class alone.
        """
        scores = []
        for job, outcome in zip(trainings, self.run(trainings), strict=True):
            images = self.data.manifest.loc[job.arrays["test"], ["label"]].assign(score=outcome.arrays["scores"])
            score = score_images(images)["average_precision"]
            if isinstance(score, Undefined) and images["label"].nunique() < 2:
                raise InputError(f"fold {job.name['fold']}: average precision is {score}")
            scores.append(images["label"].mean() if isinstance(score, Undefined) else score)  # all score the same
        return scores

    def _figure(self, settings: dict[int, TrainLEANet]) -> Figure:
        """The score of each fold's settings, on the images that the fold is tested on."""
        trainings = [self._job(settings[fold], fold, None) for fold in self.folds]
        return Figure(tuple(self._scores(trainings)), len(self.folds))


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=states)


def _completed(study: optuna.Study) -> bool:
    return bool(study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]))
