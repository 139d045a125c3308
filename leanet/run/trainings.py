"""Running trainings where params.yaml says: those that ended before are looked up, those cut off go on."""

import sys
from collections.abc import Sequence
from pathlib import Path

from leanet.core.progress import Progress
from leanet.core.settings import Device
from leanet.run import kept, live, local
from leanet.run.settings import Execution
from leanet.training.job import Epoch, Job, Outcome


class Outcomes(Sequence[Outcome]):
    """What jobs came to, read where it is asked for: the colourisers of many folds need not fit into memory."""

    def __init__(self, keys: list[str]):
        self.keys = keys

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, place: int) -> Outcome:
        return kept.outcome(self.keys[place])

    def save_weights(self, place: int, file: Path) -> None:
        """Write the weights of one as safetensors."""
        file.write_bytes(kept.weights_file(self.keys[place]).read_bytes())


def run(jobs: list[Job], execution: Execution, *, device: Device, address: str, weights: bool = False) -> Outcomes:
    """What the jobs of the stage at `address` come to, in their order; each is kept as it ends.

    weights: whether outcomes must have them; a training whose weights are no longer there is then done once more.

    Raises:
        InputError: a training diverged, or lost its process or memory; what ended before is kept.
    """
    keys = kept.keys(jobs)
    kept.need(address, keys)
    waiting = {key: job for key, job in zip(keys, jobs, strict=True) if not _is_there(key, job, weights)}
    for key in set(keys) - waiting.keys():
        kept.checkpoint(key).drop()  # of a training that was killed once its outcome was kept
    if there := len(jobs) - len(waiting):
        print(f"{address}: {there} of {len(jobs)} trainings are there from before", file=sys.stderr)
    if not waiting:
        return Outcomes(keys)
    total = sum(job.epochs for job in waiting.values())
    with Progress(total, address) as progress, live.spool(address, dict(zip(keys, jobs, strict=True))) as spool:

        def heard(key: str, epoch: Epoch) -> None:
            progress.step(**waiting[key].name, loss=f"{epoch.loss:.5f}")
            if spool:
                spool.epoch(waiting[key], epoch)

        for key, outcome in _engine(execution)(waiting, execution, device, progress, heard):
            kept.keep(key, outcome)
            kept.checkpoint(key).drop()
            if spool:
                spool.ended(waiting[key])
    return Outcomes(keys)


def _is_there(key: str, job: Job, weights: bool) -> bool:
    outcome = kept.outcome(key)
    if outcome and not job.comes_to(outcome):
        print(
            f"warning: {kept.outcome_file(key)} holds something else than {job}; it is left out", file=sys.stderr
        )
        return False
    return bool(outcome and (not weights or kept.weights_file(key)))


def figures(outcomes: Sequence[Outcome]) -> dict:
    """What a stage notes of its trainings: devices, number formats, and images trained on in all."""
    facts = [outcome.facts for outcome in outcomes]
    named = {name: sorted({each[name] for each in facts}) for name in ("device", "precision")}
    images = sum(each["images_trained"] for each in facts)
    return {name: ", ".join(values) for name, values in named.items()} | {"images_trained": images}


def _engine(execution: Execution):
    if execution.engine == "ray":
        from leanet.run import cluster  # where nobody asks for it, Ray need not be installed

        return cluster.run
    return local.run
