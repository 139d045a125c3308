"""What machines run out of, as one line that says what to do."""

import errno
import shutil
from pathlib import Path

from leanet.core import paths

GO_ON = "then `dvc repro` goes on where it stopped"


def explain(error: Exception) -> str | None:
    """The line for a full disk, a folder without rights, memory that does not suffice, or a name that cannot be.

    None for others.
    """
    if type(error).__name__ == "OutOfMemoryError":  # of torch, which not every stage has loaded
        return f"out of memory on the GPU; lower batch_size or split.image_size in params.yaml, {GO_ON}"
    # torch has no type of its own for the CPU's.
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return f"out of memory; lower batch_size, split.image_size or execution.workers in params.yaml, {GO_ON}"
    if not isinstance(error, OSError):
        return None
    where = error.filename or paths.KEPT.parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(_there(Path(where))).free / 2**20
        hint = "`leanet prune` and `dvc gc --workspace` remove what nothing needs"
        return f"no space left on the disk of {where} ({free:.0f} MiB free); make room ({hint}), {GO_ON}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} cannot be written or read ({error.strerror.lower()}); change its owner or rights, {GO_ON}"
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return f"{where}: {error.strerror.lower()}"
    return None


def _there(path: Path) -> Path:
    """The nearest folder that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())
