"""From a commit to its runs, and back: both know results by the hashes that dvc.lock has of them."""

import json
import os

from leanet.core.addresses import without_password
from leanet.core.settings import flat
from leanet.run import lock
from leanet.run.pipeline import Stage
from leanet.tracking import store

OUTS, LOCK = "leanet.outs", "dvc.lock"


def tags(stage: Stage) -> dict[str, str]:
    """What a run says of the stage's entry in dvc.lock; nothing before DVC has written that."""
    entry = lock.here().get(stage.address)
    if entry is None or os.environ.get("DVC_STAGE") == stage.address:
        return {}
    both = {of: lock.hashes(entry, of) for of in ("deps", "outs")}
    return {OUTS: lock.digest(entry), LOCK: json.dumps(both)}


def is_of(params: dict, stage: Stage) -> bool:
    """Whether the stage's outputs are of these settings, as far as dvc.lock knows; else it is to run again."""
    entry = lock.here().get(stage.address)
    if entry is None or os.environ.get("DVC_STAGE") == stage.address:  # DVC notes a stage when it has ended
        return True
    return stage.settings(params) == {name: str(value) for name, value in flat(lock.settings(entry))}


def page(experiment: str, run: str) -> str:
    """The address of a run's page, where a server shows it."""
    address = without_password(store.address())
    return f"{address.rstrip('/')}/#/experiments/{experiment}/runs/{run}" if address.startswith("http") else ""


def runs_of(client, experiment: str, locked: dict[str, lock.Entry]) -> dict[str, object]:
    """The runs whose results a dvc.lock has, by address; stages that were never logged are left out."""
    found = {}
    for address, entry in locked.items():
        query = f"tags.`{OUTS}` = '{lock.digest(entry)}' AND tags.`dvc.stage` = '{address}'"
        if runs := client.search_runs([experiment], query, max_results=1):
            found[address] = runs[0]
    return found
