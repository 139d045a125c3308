"""What dvc.lock says: by which hashes the inputs and outputs of each stage are known."""

import hashlib
import json
from pathlib import Path

import yaml

from leanet.core import paths

FILE = Path("dvc.lock")
Entry = dict[str, object]  # of one stage


def stages(text: str) -> dict[str, Entry]:
    """The stages of a dvc.lock by address."""
    return (yaml.safe_load(text) or {}).get("stages", {})


def here() -> dict[str, Entry]:
    """Those of this folder; none before the first run."""
    return stages(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def hashes(entry: Entry, of: str) -> dict[str, str]:
    """The hash of each output (`of` is "outs") or input ("deps") by path, where DVC knows one."""
    return {each["path"]: each["md5"] for each in entry.get(of, []) if "md5" in each}


def settings(entry: Entry) -> dict[str, object]:
    """The values of params.yaml that a stage ran with, by dotted key of dvc.yaml; values may be sections."""
    return entry.get("params", {}).get(paths.PARAMS.name, {})


def digest(entry: Entry) -> str:
    """What the outputs of a stage are known by, all together."""
    return hashlib.sha256(json.dumps(hashes(entry, "outs"), sort_keys=True).encode()).hexdigest()
