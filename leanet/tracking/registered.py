"""Which detector was last registered from this folder; known without asking MLflow, which takes seconds."""

from pathlib import Path

from leanet.core import files, paths

NOTE = paths.LOGS / "registered"


def note(detector: Path) -> None:
    """Remember that the detector in this folder is registered, and its merit judged."""
    files.write(NOTE, files.sha256(detector / paths.FACTS))


def is_noted(detector: Path) -> bool:
    """Whether it is; True where there is none."""
    if not (detector / paths.FACTS).exists():
        return True
    return NOTE.exists() and NOTE.read_text() == files.sha256(detector / paths.FACTS)
