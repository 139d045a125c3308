"""`python -m benchmarks.year FOLDER OUT`: from normal images alone to a detector that learns, as a year in use.

A detector is made of 100 normal images. Then six batches of new images come. Of each, some are labelled by the API
of `leanet review`, as their folders have them: in its order, or at random. They are adopted, and the next detector
is made, by the pipeline's own stages. What it finds is measured on images that nobody labels. FOLDER has Positive/
and Negative/. Steps that are done are not done again.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import requests
import uvicorn
from fastapi import FastAPI
from matplotlib.figure import Figure

from benchmarks.packagings import call, settle
from leanet.core import files, paths
from leanet.detector.detector import Detector
from leanet.evaluation.baselines import BASELINES
from leanet.images import imageset
from leanet.review import adopt
from leanet.review.application import Review, extend
from leanet.review.estimate import average_precision
from leanet.review.log import NAME, Log
from leanet.service.application import application, config, listen
from stages import anomaly_maps, augment, baselines, download, package, split, train_leanet, train_unet

FIRST, BATCHES = 100, 6
ROW = "resnet18-contrast"
ORDERS = ("review", "random")
IN = {"review": "in the order of leanet review", "random": "at random"}
SETTINGS = {
    "rows": [ROW],
    "device": "cpu",
    "train_unet": {"epochs": 10, "width": 16, "out_of_sample": False},
    "train_leanet": {"epochs": 12},
    "package": {"criterion": None},
    "execution": {"workers": 2},
}
WANTED, ALARMS = 0.95, 0.02


class Year:
    """One seed's images: those of the beginning, the batches, and those to measure on."""

    def __init__(self, folder: Path, seed: int, batch: tuple[int, int]):
        """batch: anomalous and normal images of each."""
        draw = random.Random(seed)
        anomalous, normal = (sorted((folder / name).iterdir()) for name in ("Positive", "Negative"))
        draw.shuffle(anomalous)
        draw.shuffle(normal)
        self.first, normal = normal[:FIRST], normal[FIRST:]
        self.batches = []
        for _ in range(BATCHES):
            new = [(file, 1) for file in anomalous[: batch[0]]], [(file, 0) for file in normal[: batch[1]]]
            self.batches.append([*new[0], *new[1]])
            anomalous, normal = anomalous[batch[0] :], normal[batch[1] :]
        self.held_out = [(file, 1) for file in anomalous[:300]] + [(file, 0) for file in normal]


def run(year: Year, begun: Path, root: Path, seed: int, order: str, labels: int) -> Iterator[dict]:
    """What is known before the first batch and after each. labels: of a batch, so many images get one.

    begun: the project of the first detector, which is the same for all orders.
    """
    done = root / "done.jsonl"
    if not done.exists():
        if not (begun / paths.DETECTOR).exists():
            begin(begun, year, seed)
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(begun, root)
        done.touch()
    os.chdir(root)
    lines = [json.loads(line) for line in done.read_text().splitlines()]
    yield from lines
    for step in range(len(lines), BATCHES + 1):
        known = {}
        if step:
            known = look(root, year, step, seed, order, labels)
            make()
        line = {"seed": seed, "order": order, "batch": step, "labels": step * labels, **known, **judged(year)}
        with done.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        yield line


def begin(root: Path, year: Year, seed: int) -> None:
    """The first detector."""
    (root / "images/Negative").mkdir(parents=True, exist_ok=True)
    for file in year.first:
        shutil.copy(file, root / "images/Negative")
    os.chdir(root)
    settle(root, SETTINGS, {"parts": {"source": "images", "positives": None, "negatives": None}}, seed)
    make()


def make() -> None:
    """The next detector."""
    for script in (download, split, augment, train_unet, anomaly_maps):
        call(script, "parts")
    if imageset.load(paths.split("parts")).has_both:
        call(train_leanet, "parts", ROW)
        for name in BASELINES:  # they decide nothing where there is one row
            shutil.copytree(paths.cv("parts", ROW), paths.cv("parts", name), dirs_exist_ok=True)
    else:
        call(baselines, "parts")
    call(package)


def judged(year: Year) -> dict:
    """What the detector finds of the images that nobody labels."""
    detector = Detector.load(paths.DETECTOR, "cpu")
    found = detector.predict([file for file, _ in year.held_out])
    label = np.array([label for _, label in year.held_out])
    return {
        "row": detector.facts["row"],
        "recall": float(found.labels[label == 1].mean()),
        "alarms": float(found.labels[label == 0].mean()),
        "recall_at": recall_at(found.scores, label),
        "average_precision": average_precision(label, found.scores),
    }


def recall_at(scores: np.ndarray, labels: np.ndarray) -> float:
    """The recall at the lowest threshold with ALARMS false alarms at most."""
    normal = np.sort(scores[labels == 0])[::-1]
    line = normal[int(ALARMS * len(normal))]
    return float((scores[labels == 1] > line).mean())


def look(root: Path, year: Year, step: int, seed: int, order: str, labels: int) -> dict:
    """Label a batch through the API, adopt it, and say what the review knew of the detector in use."""
    folder = root / f"batch{step}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    truth = {}
    for file, label in year.batches[step - 1]:
        shutil.copy(file, folder)
        truth[file.name] = ("normal", "anomalous")[label]
    detector = Detector.load(paths.DETECTOR, "cpu")
    app = application(detector)
    review = Review(folder, detector, Log(folder / NAME))
    extend(app, review)
    review.looked.ready.wait()
    shuffled = sorted(truth)
    random.Random(seed).shuffle(shuffled)
    with served(app) as address:
        for name in shuffled[:labels]:
            if order == "review":
                (shown,) = requests.get(f"{address}/next", params={"who": "user"}, timeout=60).json()
                word = {"image": shown["image"], "why": shown["why"], "label": truth[shown["file"]]}
            else:
                word = {"image": files.sha256(folder / name), "why": "random", "label": truth[name]}
            requests.post(f"{address}/labels", json={"who": "user", **word}, timeout=60).raise_for_status()
        *_, known = requests.get(address, timeout=60).json()["curve"]
    found = Log(folder / NAME).read()
    adopt.do(adopt.plan(Log(folder / NAME), folder, root / "images"))
    return {
        "anomalous": sum(said.label == "anomalous" for said in found),
        "counted": known["positives"] + known["negatives"],
        "estimate": None if known["recall"] is None else known["recall"]["estimate"],
    }


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The address of the review's API, answered by a thread."""
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield "http://{}:{}/api/review".format(*listener.getsockname())
    finally:
        server.should_exit = True
        thread.join()


def table(every: pd.DataFrame) -> str:
    """Mean (lowest – highest) over seeds after each batch, in Markdown."""
    lines = [
        "| labels | order | anomalous | recall | false alarms | recall at 2 % false alarms | average precision |",
        "|" + "---|" * 7,
    ]
    labelled = every.sort_values("batch").groupby(["seed", "order"])["anomalous"].cumsum()
    for (labels, order), group in every.assign(sum=labelled).groupby(["labels", "order"]):
        spread = [
            f"{group[name].mean():.3f} ({group[name].min():.3f} – {group[name].max():.3f})"
            for name in ("recall", "alarms", "recall_at", "average_precision")
        ]
        lines.append(f"| {labels} | {order} | {group['sum'].fillna(0).mean():.0f} | " + " | ".join(spread) + " |")
    reached = {
        "at its own threshold": (every["recall"] >= WANTED) & (every["alarms"] <= ALARMS),
        "at the best one": every["recall_at"] >= WANTED,
    }
    for (threshold, enough), order in itertools.product(reached.items(), ORDERS):
        first = every[enough & (every["order"] == order)].groupby("seed")["labels"].min()
        counts = [f"{first[seed]}" if seed in first else "never" for seed in sorted(set(every["seed"]))]
        said = f"Labels until recall {WANTED} and at most {ALARMS:.0%} false alarms {threshold}, {IN[order]}"
        lines.append(f"\n{said}, by seed: {', '.join(counts)}.")
    return "\n".join(lines)


def draw(every: pd.DataFrame, file: Path) -> None:
    """Recall at ALARMS by the number of labels: the mean over seeds, from the lowest to the highest."""
    figure = Figure(figsize=(6.4, 4), dpi=100, layout="constrained")
    axis = figure.subplots()
    for order, color in zip(ORDERS, ("tab:blue", "tab:orange"), strict=True):
        by_labels = every[every["order"] == order].groupby("labels")["recall_at"]
        axis.plot(by_labels.mean(), "o-", color=color, label=f"labels {IN[order]}")
        axis.fill_between(by_labels.min().index, by_labels.min(), by_labels.max(), color=color, alpha=0.15)
    axis.axhline(WANTED, color="0.6", linewidth=1)
    axis.set(xlabel="labels", ylabel=f"recall at {ALARMS:.0%} false alarms", ylim=(0, 1.02))
    axis.legend()
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.year", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, help="where the projects stay")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--batch", type=int, nargs=2, default=[46, 4], metavar=("ANOMALOUS", "NORMAL"))
    parser.add_argument("--picture", type=Path, help="a PNG of recall by labels")
    parser.add_argument("--labels", type=int, default=10, help="of each batch (default: 10)")
    arguments = parser.parse_args()
    folder, out = arguments.folder.resolve(), arguments.out.resolve()
    picture = arguments.picture and arguments.picture.resolve()
    lines = []
    for seed in arguments.seeds:
        year = Year(folder, seed, tuple(arguments.batch))
        for order in ORDERS:
            begun, root = out / f"begun-{seed}", out / f"{order}-{seed}"
            for line in run(year, begun, root, seed, order, arguments.labels):
                lines.append(line)
                rounded = {
                    key: round(value, 3) if isinstance(value, float) else value for key, value in line.items()
                }
                print(rounded, flush=True)
    every = pd.DataFrame(lines)
    every.round(5).to_csv(out / "year.csv", index=False)
    print(table(every))
    if picture:
        draw(every, picture)


if __name__ == "__main__":
    main()
