"""The review: a page on which people say what images are, beside that of `leanet serve`."""

import asyncio
import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from leanet.detector.detector import Detector
from leanet.review.estimate import Point, points
from leanet.review.log import LABELS, Label, Log, Said, agreed, standing
from leanet.review.looked import Looked
from leanet.review.order import Seen, Why, following
from leanet.service import answer
from leanet.service.answer import Answer
from leanet.service.application import HERE as SERVICE
from leanet.service.application import STYLES, page

HERE = Path(__file__).parent
LEASE = 60  # seconds that an image is shown to one person alone
AHEAD = 3  # images that a page has ready, at most

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")]
Share = Annotated[float, Field(ge=0, le=1)]
Outline = Annotated[list[tuple[Share, Share]], Field(min_length=3, max_length=2000)]


class Shown(BaseModel):
    """An image to look at."""

    image: str = Field(description="SHA-256 of its file")
    file: str
    why: str = Field(description="why it is shown: random, uncertain, unlike, suspect, or chosen by hand")
    label: str | None = Field(description="in the data set, where it is the data set that is looked through")
    score: float
    called: bool = Field(description="whether the detector calls it anomalous")


class Word(BaseModel):
    """What somebody says of an image."""

    image: str
    who: Name
    label: Label | None = Field(description="other: not of this kind; null takes back what the same person said")
    why: Why = "chosen"
    place: Annotated[list[Outline], Field(max_length=50)] | None = Field(
        None, description="where it is anomalous: outlines of (x, y) in shares of width and height"
    )


class Heard(BaseModel):
    """A word of the log."""

    image: str
    file: str
    who: str
    label: str | None
    at: str


class Rate(BaseModel):
    """A share of images with its 95 % interval."""

    estimate: float
    low: float
    high: float


class Known(BaseModel):
    """The estimate after so many labels; on the part of them that chance chose."""

    labels: int
    detector: str
    positives: int
    negatives: int
    recall: Rate | None
    false_alarms: Rate | None
    average_precision: float | None


class State(BaseModel):
    """How far the review is."""

    folder: str
    log: str
    images: int = Field(description="that can be looked at")
    waiting: int = Field(description="that the detector has yet to look at")
    faults: dict[str, str] = Field(description="why a file is no image, by its path")
    labelled: dict[str, int] = Field(description="images by label; disputed: people differ")
    heard: list[Heard] = Field(description="words of the log, from the one asked for on")
    next_word: int = Field(description="what to ask for the next time")
    detector: str = Field(description="the one in use, as words of the log name it")
    learnt: bool = Field(description="whether it has learnt from these images, so that nothing can be estimated")
    curve: list[Known]
    ahead: str | None = Field(description="what another twenty would be likely to bring")


@dataclass(frozen=True)
class Lease:
    """Who an image is shown to alone, why, and until when."""

    who: str
    why: Why
    until: float


class Review:
    """What is known of a folder and what people said of it; all of it is in the log."""

    def __init__(
        self,
        folder: Path,
        detector: Detector,
        log: Log,
        own: dict[str, str] | None = None,
        *,
        suspected: bool = False,
    ):
        """own: images of the data set in `folder`, and how they are labelled; None: all that `folder` has are new.
        suspected: `own` are those that may be mislabelled, the likeliest first.
        """
        self.looked, self.log, self.detector = Looked(folder, detector, own), log, detector
        self.own, self.suspected = own, suspected
        self.name = name_of(detector)
        self.leases: dict[str, Lease] = {}  # by image
        self._turn = Lock()
        self._curve: list[Point] = []
        self._curve_of = 0, 0  # words and images

    def following(self, who: str, count: int) -> list[Shown]:
        """The next images for one person; what others look at just now is left to them."""
        with self._turn:
            return self._following(who, count)

    def _following(self, who: str, count: int) -> list[Shown]:
        now = monotonic()
        stands = standing(self.log.read())
        waits = {image: seen for image, seen in list(self.looked.seen.items()) if image not in stands}
        self.leases = {i: lease for i, lease in self.leases.items() if lease.until > now and i in waits}
        mine = {image: lease.why for image, lease in self.leases.items() if lease.who == who}
        free = [seen for image, seen in waits.items() if image not in self.leases]
        more = max(0, count - len(mine))
        if self.suspected:
            places = list(self.own)
            new = [(seen, "suspect") for seen in sorted(free, key=lambda each: places.index(each.file))[:more]]
        else:
            # What is on lease has had its turn: however the folder grows, each kind gets its share.
            new = following(free, self.detector.threshold.value, len(stands) + len(self.leases), more)
        shown = list((mine | {seen.image: why for seen, why in new}).items())[:count]
        self.leases |= {image: Lease(who, why, now + LEASE) for image, why in shown}
        return [Shown(**self._shown(image), why=why) for image, why in shown]

    def _shown(self, image: str) -> dict:
        seen = self.looked.seen[image]
        called = seen.score > self.detector.threshold.value
        label = (self.own or {}).get(seen.file)
        return {"image": image, "file": seen.file, "score": seen.score, "called": called, "label": label}

    def card(self, image: str) -> Answer:
        """What there is to see of an image.

        Raises:
            HTTPException: as `_find`; 404, it is not there any more.
        """
        self._find(image)
        content = self.looked.content(image)
        if content is None:
            self.looked.seen.pop(image, None)
            raise HTTPException(404, "the file is gone, or has changed since")
        (found,) = answer.answers(self.detector, [content], "1")
        if not isinstance(found, Answer):
            raise HTTPException(404, str(found).removeprefix("image 0: "))
        return found

    def add(self, word: Word) -> None:
        """Write a word to the log.

        Raises:
            HTTPException: as `_find`; 507, the disk does not take it.
        """
        seen = self._find(word.image)
        said = Said(
            at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            who=word.who,
            file=seen.file,
            image=seen.image,
            label=word.label,
            why=word.why,
            detector=self.name,
            score=round(seen.score, 6),
            threshold=round(self.detector.threshold.value, 6),
            place=word.place,
        )
        try:
            self.log.add(said)
        except OSError as error:
            raise HTTPException(507, f"{self.log.file}: not written ({error.strerror})") from None
        self.leases.pop(word.image, None)

    def _find(self, image: str) -> Seen:
        """An image of the folder.

        Raises:
            HTTPException: 404, there is none; 503, there may be, but the server has just begun to look.
        """
        if seen := self.looked.seen.get(image):
            return seen
        if not self.looked.ready.is_set():
            raise HTTPException(
                503, "the folder is being looked through; try again in a moment", {"Retry-After": "1"}
            )
        raise HTTPException(404, "there is no such image in the folder")

    def state(self, since: int) -> State:
        said = self.log.read()
        stands = standing(said)
        words = {image: agreed(by) for image, by in stands.items()}
        counts = Counter("disputed" if word is None else word.label for word in words.values())
        curve = self._points(said)
        return State(
            folder=str(self.looked.folder),
            log=str(self.log.file),
            images=len(self.looked.seen),
            waiting=self.looked.waiting,
            faults=dict(list(self.looked.faults.items())[:100]),
            labelled={label: counts[label] for label in (*LABELS, "disputed")},
            heard=[Heard(**{name: getattr(each, name) for name in Heard.model_fields}) for each in said[since:]],
            next_word=len(said),
            detector=self.name,
            learnt=self.own is not None,
            curve=[_known(point) for point in curve],
            ahead=curve[-1].ahead if curve else None,
        )

    def _points(self, said: list[Said]) -> list[Point]:
        """The curve; pages ask for it again and again."""
        if self.own is not None:
            return []  # the detector has learnt from them
        images = list(self.looked.seen)
        if (known := (len(said), len(images))) != self._curve_of:
            self._curve, self._curve_of = points(said, images), known
        return self._curve


def _known(point: Point) -> Known:
    rates = {
        name: None
        if (rate := getattr(point, name)) is None
        else Rate(estimate=rate.estimate, low=rate.low, high=rate.high)
        for name in ("recall", "false_alarms")
    }
    others = ("labels", "detector", "positives", "negatives", "average_precision")
    return Known(**{name: getattr(point, name) for name in others}, **rates)


def extend(app: FastAPI, review: Review) -> None:
    """Add the page at /review and its API below /api/review to the application of `leanet serve`."""
    asked, turn = app.state.asked, asyncio.Lock()

    @app.get("/review", response_class=HTMLResponse, include_in_schema=False)
    def shown() -> str:
        scripts = SERVICE / "serve.js", *(HERE / f"review{part}.js" for part in ("", "_place", "_curve"))
        return page(HERE / "review.html", (*STYLES, HERE / "review.css"), scripts)

    @app.get("/api/review", dependencies=asked)
    def state(since: Annotated[int, Query(ge=0)] = 0) -> State:
        """How far it is, and what was said since a word of the log."""
        return review.state(since)

    @app.get("/api/review/next", dependencies=asked)
    def following_(who: Name, count: Annotated[int, Query(ge=1, le=AHEAD)] = 1) -> list[Shown]:
        """The images to look at next."""
        return review.following(who, count)

    @app.get("/api/review/images/{image}", dependencies=asked, response_model_exclude_none=True)
    async def card(image: str) -> Answer:
        """One of them, with what the detector finds in it."""
        async with turn:
            return await asyncio.to_thread(review.card, image)

    @app.post("/api/review/labels", dependencies=asked, status_code=204)
    def label(word: Word) -> None:
        """Say what it is. Once this is answered, it is on the disk."""
        review.add(word)


def name_of(detector: Detector) -> str:
    """What a log calls a detector."""
    return hashlib.sha256(json.dumps(detector.facts, sort_keys=True).encode()).hexdigest()[:12]
