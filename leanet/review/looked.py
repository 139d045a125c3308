"""The images of a folder, as a detector finds them: looked through beside whoever labels the first of them."""

import hashlib
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from time import monotonic

from leanet.core.progress import Progress
from leanet.detector.detector import Detector
from leanet.images.reading import is_image
from leanet.review.order import Seen
from leanet.service import limits

AGAIN = 5  # seconds between two looks for new files
AT_ONCE = 64  # files


class Looked:
    """What `detector` finds in the images below `folder`, or in `only` these; new ones are found while this runs.

    seen: by the SHA-256 of the file. faults: why a file is none that can be judged, by its path in the folder.
    """

    def __init__(self, folder: Path, detector: Detector, only: Collection[str] | None = None):
        """only: paths in the folder."""
        self.folder, self.detector, self.only = folder, detector, only
        self.seen: dict[str, Seen] = {}
        self.faults: dict[str, str] = {}
        self.waiting = 0
        self.ready = threading.Event()  # all that was there at the start has been looked at
        self._known: dict[str, tuple[int, int]] = {}  # size and time of change, by path in the folder
        threading.Thread(target=self._watch, daemon=True).start()

    def content(self, image: str) -> bytes | None:
        """The file of an image, if it is there as it was seen."""
        try:
            content = (self.folder / self.seen[image].file).read_bytes()
        except (KeyError, OSError):
            return None
        return content if hashlib.sha256(content).hexdigest() == image else None

    def _watch(self) -> None:
        while True:
            started = monotonic()
            try:
                self.look()
            except OSError as error:
                print(f"{self.folder}: {error.strerror}", file=sys.stderr)
            self.ready.set()
            threading.Event().wait(max(AGAIN, 3 * (monotonic() - started)))

    def look(self) -> None:
        """Judge what is new or changed."""
        new = [file for file in self._files() if self._known.get(file) != self._stamp(file)]
        self.waiting = len(new)
        if not new:
            return
        with Progress(len(new), f"look through {self.folder}") as progress:
            for start in range(0, len(new), AT_ONCE):
                files = new[start : start + AT_ONCE]
                self._judge(files)
                self.waiting -= len(files)
                progress.step(len(files))

    def _files(self) -> Iterator[str]:
        if self.only is not None:
            return (file for file in self.only if (self.folder / file).is_file())
        paths = (path.relative_to(self.folder) for path in sorted(self.folder.rglob("*")))
        return (path.as_posix() for path in paths if is_image(path) and (self.folder / path).is_file())

    def _stamp(self, file: str) -> tuple[int, int] | None:
        try:
            about = (self.folder / file).stat()
        except OSError:
            return None
        return about.st_size, about.st_mtime_ns

    def _judge(self, files: list[str]) -> None:
        contents, names = [], []
        for file in files:
            stamp = self._stamp(file)
            if stamp is None:
                continue  # gone since
            self._known[file] = stamp
            if stamp[0] > limits.MAX_BYTES:
                self.faults[file] = f"has more than {limits.MAX_BYTES // limits.MIB} MiB"
                continue
            try:
                contents.append((self.folder / file).read_bytes())
                names.append(file)
            except OSError as error:
                self.faults[file] = error.strerror
        left = iter(zip(names, contents, strict=True))
        for judged, faults in self.detector.stream(contents, most_pixels=limits.MAX_PIXELS):
            found = iter(zip(judged.scores, self.detector.likeness(judged.features), strict=True))
            for fault in faults:
                file, content = next(left)
                if fault:
                    self.faults[file] = str(fault).partition(": ")[2]
                    continue
                score, likeness = next(found)
                image = hashlib.sha256(content).hexdigest()
                self.seen[image] = Seen(file, image, float(score), min(1.0, float(likeness)))
                self.faults.pop(file, None)
