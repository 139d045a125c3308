"""What trainings came to, kept outside what DVC removes before a stage runs: no training is ever done twice.

`data/kept` holds a file an outcome and two a training under way, all named by the key of their job, and
`<stage>@<names>.json`, the keys that the stage's last run needed.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from leanet import paths
from leanet.execution import sealed
from leanet.execution.checkpoint import Checkpoint
from leanet.execution.job import Outcome


def outcome(key: str) -> Outcome | None:
    """What the job came to; None if it has not ended, or its file is damaged."""
    found = sealed.read(_file(key))
    return Outcome(*found) if found else None


def keep(key: str, outcome: Outcome) -> None:
    """Keep what a job came to."""
    sealed.write(_file(key), outcome.arrays, outcome.facts)


def checkpoint(key: str) -> Checkpoint:
    """Where the job stands."""
    return Checkpoint(paths.KEPT / key)


def need(address: str, keys: list[str]) -> None:
    """Note what the result of the stage at `address` needs."""
    paths.KEPT.mkdir(parents=True, exist_ok=True)
    paths.write(_list(address), json.dumps(keys, indent=1))


def prune(addresses: Iterable[str]) -> tuple[int, int]:
    """Remove all that the last results of the stages at `addresses` do not need; how many files and bytes."""
    lists = [_list(address) for address in addresses]
    needed = {key for file in lists if file.exists() for key in json.loads(file.read_text())}
    files = [file for file in paths.KEPT.glob("*") if file not in lists and file.name.split(".")[0] not in needed]
    size = sum(file.stat().st_size for file in files)
    for file in files:
        file.unlink()
    return len(files), size


def _file(key: str) -> Path:
    return paths.KEPT / f"{key}.safetensors"


def _list(address: str) -> Path:
    return paths.KEPT / f"{address}.json"
