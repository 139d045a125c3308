"""The command line: `python -m leanet …`."""

import argparse
import atexit
import contextlib
import dataclasses
import gc
import json
import logging
import os
import sys
from pathlib import Path

from leanet import faults, paths, stage
from leanet.errors import InputError
from leanet.params import load

LONG = 300  # seconds: a shorter stage is not worth those that MLflow takes to start


def check(_: argparse.Namespace) -> None:
    import numpy as np
    import torch

    from leanet import device, rows
    from leanet.data import duplicates, layout
    from leanet.data.sampling import assign_folds, sample
    from leanet.models.leanet import build

    params = load()
    device.select(params.device)
    for name, dataset in params.datasets.items():
        if Path(dataset.source).is_dir():  # what stage split would only find after the images are copied
            try:
                counts = (dataset.negatives, dataset.positives)
                items = sample(layout.read(Path(dataset.source)), counts, params.split.seed)
                labels, groups = np.array([item.label for item in items]), duplicates.groups(items, [])
                if params.split.groups == "apart":
                    groups = np.arange(len(items))
                assign_folds(labels, groups, params.split.folds, params.split.seed)
            except InputError as error:
                raise InputError(f"params.yaml: datasets.{name}: {error}") from None
    try:
        for row in params.rows:
            with torch.device("meta"):  # shapes without weights
                for point in params.train_leanet.points if rows.parts(row).external else [None]:
                    build(row, side=params.split.image_size, point=point)
    except InputError as error:
        raise InputError(f"params.yaml: rows: {error}") from None
    print("params.yaml is in order")


def models(arguments: argparse.Namespace) -> None:
    import torch

    from leanet import rows
    from leanet.models.leanet import build
    from leanet.report.paper import parameters

    for row in arguments.row:
        rows.check(row)
    printed = parameters()
    table = []
    for row in arguments.row or rows.PAPER:
        with torch.device("meta"):  # shapes without weights
            network = build(row, side=arguments.side, point=None)
        trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
        paper = round(printed[row] * 1e6) if row in printed else None
        table.append({"row": row, "trainable": trainable, "paper": paper, "points": list(network.adn.points)})
    if arguments.json:
        print(json.dumps(table, indent=1))
        return
    size = f"{arguments.side}×{arguments.side}"
    print(f"{'row':28}{'trainable':>14}{'the paper':>12}  attention points, at {size}")
    for line in table:
        paper = f"{line['paper'] / 1e6:.1f}M" if line["paper"] else "–"
        points = ", ".join(map(str, line["points"])) or "none"
        print(f"{line['row']:28}{line['trainable']:>14,}{paper:>12}  {points}")


def settings(arguments: argparse.Namespace) -> None:
    from leanet.settings import apply

    apply(arguments.name)
    print(f"params.yaml now has the {arguments.name} settings; `git diff params.yaml` shows what changed")


def use(arguments: argparse.Namespace) -> None:
    from leanet import settings as params_file

    source = params_file.use(arguments.name, arguments.folder, arguments.positives, arguments.negatives)
    print(f"params.yaml now has {source} as its data set {arguments.name}, in place of what it had")


def datasets(arguments: argparse.Namespace) -> None:
    from leanet.data import catalogue

    if arguments.accept:
        entry = catalogue.entry(arguments.accept)
        catalogue.accept(entry)
        print(f"agreed to {entry.licence.name} ({entry.licence.page}) for {entry.title}")
        return
    table = []
    for name, entry in catalogue.entries().items():
        there = [archive.file for archive in entry.archives if (paths.DOWNLOADS / archive.file).exists()]
        table.append(
            {
                "name": name,
                **dataclasses.asdict(entry),
                "available": entry.available,
                "licence_accepted": catalogue.is_accepted(entry),
                "downloaded": there,
                "unpacked": paths.raw(name).is_dir(),
            }
        )
    if arguments.json:
        print(json.dumps(table, indent=1, ensure_ascii=False))
        return
    print(f"{'set':12}{'anomalous':>10}{'normal':>8}{'the paper':>12}  {'on disk':14}{'licence':42}not verified")
    for line in table:
        have = "unpacked" if line["unpacked"] else "downloaded" if line["downloaded"] else "–"
        positives, negatives = line["available"].values()
        paper = f"{line['paper']['positives']} / {line['paper']['negatives']}"
        licence = line["licence"]["name"] + ("" if line["licence_accepted"] else " *")
        print(
            f"{line['name']:12}{positives:>10}{negatives:>8}{paper:>12}  {have:14}{licence:42}"
            f"{'; '.join(line['unverified'] or []) or '–'}"
        )
    print("* to be agreed to: dvc repro asks, or python -m leanet datasets --accept SET")
    print("python -m leanet use SET makes one the data set of params.yaml; dvc repro then downloads it")


def track(arguments: argparse.Namespace) -> None:
    from leanet import store

    everything = arguments.stage in ([], ["report"], ["package"])  # those that end a run
    untracked = paths.LOGS / "untracked"  # is there while the store is down: not every stage shall wait for it
    if os.environ.get("LEANET_TRACKING") == "off":
        if not arguments.stage:
            print("LEANET_TRACKING is off: nothing is logged")
        return
    logging.disable()  # what MLflow says of its errors in pages is said here in a line
    try:
        if everything:
            untracked.unlink(missing_ok=True)
        elif untracked.exists() or stage.time_taken(arguments.stage) < LONG:
            return  # the report's call logs this one too
        from leanet.tracking import track as log

        patience = store.PATIENCE if arguments.stage else None
        new = log(load(), [] if everything else arguments.stage, patience)
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt):
            line = f"interrupted{store.LATER}"
        else:
            line = str(error) if isinstance(error, InputError) else store.refusal(error)
        if not arguments.stage:
            raise InputError(line) from None
        # Within a stage: what is computed stays computed, whatever becomes of its log.
        print(f"warning: {line}", file=sys.stderr)
        if not everything:
            with contextlib.suppress(OSError):
                untracked.touch()
        return
    if not arguments.stage:
        print(f"{new} stages logged to MLflow; those logged before were left alone")


def register(_: argparse.Namespace) -> None:
    from leanet import store

    if os.environ.get("LEANET_TRACKING") == "off":
        return
    logging.disable()
    try:
        from leanet.detector.registry import ALIAS, register

        version = register(paths.DETECTOR, store.PATIENCE if "DVC_STAGE" in os.environ else None)
    except (Exception, KeyboardInterrupt) as error:
        later = "; `python -m leanet register` brings it in later"
        line = str(error) if isinstance(error, InputError) else store.refusal(error, "the detector", later)
        if "DVC_STAGE" not in os.environ:
            raise InputError(line) from None
        print(f"warning: {line}", file=sys.stderr)  # the detector is there, whatever becomes of its entry
        return
    print(f"{version} is the {ALIAS}: models:/{version.split('/')[1]}@{ALIAS}")


def export(arguments: argparse.Namespace) -> None:
    from leanet.detector.detector import Detector
    from leanet.detector.export import export

    export(Detector.load(arguments.detector, "cpu"), arguments.file)
    print(f"{arguments.file}: {arguments.file.stat().st_size / 2**20:.0f} MiB")


def serve(arguments: argparse.Namespace) -> None:
    from leanet.detector.detector import Detector
    from leanet.detector.service import listen, serve

    listener = listen(arguments.host, arguments.port)  # a port that is taken is said before seconds of loading
    detector = Detector.load(arguments.detector, arguments.device)
    serve(detector, listener, arguments.host, arguments.token or os.environ.get("LEANET_TOKEN"))


def repro(_: argparse.Namespace) -> None:
    import fcntl

    paths.LOGS.mkdir(exist_ok=True)
    lock = os.open(paths.LOGS / "repro.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"leanet repro: waits for the one that runs in {Path.cwd()} already", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
    _drop_cut_off(Path(".dvc/tmp/rwlock"))
    os.set_inheritable(lock, True)  # held by dvc, whose process this one becomes, to its end
    os.execvp("dvc", ["dvc", "repro"])


def _drop_cut_off(lock: Path) -> None:
    """Remove DVC's file of locks where a full disk has cut it off: DVC would refuse to run ever after."""
    try:
        json.loads(lock.read_text(encoding="utf-8") or "{}")
    except FileNotFoundError:
        pass
    except ValueError:
        lock.unlink()


def prune(_: argparse.Namespace) -> None:
    from leanet.execution import kept
    from leanet.tracking import records

    files, size = kept.prune(record.address for record in records(load()))
    print(f"{files} files of trainings that no result needs removed, {size / 2**20:.1f} MiB")


def predict(arguments: argparse.Namespace) -> None:
    from leanet.detector import predict

    options = {name: value for name, value in vars(arguments).items() if name not in ("function", "images")}
    sys.exit(predict.predict(arguments.images, **options))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m leanet", description="LEA-Net as a data pipeline")
    commands = parser.add_subparsers(metavar="command")
    parser.set_defaults(function=lambda _: parser.print_help())

    def command(function, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(function.__name__, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    command(repro, "dvc repro, after the one that may be running in this folder already")
    command(prune, "remove kept trainings that no result of params.yaml needs")
    command(check, "check params.yaml and say the first thing that is wrong with it")
    sub = command(models, "list the rows with their trainable parameters beside the paper's")
    sub.add_argument("row", nargs="*", help="rows to show, with any ADN (default: those of the paper)")
    sub.add_argument("--side", type=int, default=256, help="pixels of the images (default: 256, as in the paper)")
    sub.add_argument("--json", action="store_true", help="as a list of objects")
    sub = command(settings, "lay a file of settings/ over params.yaml: quick, photos or paper")
    sub.add_argument("name")
    sub = command(datasets, "list the published data sets, and what of them is on disk")
    sub.add_argument("--json", action="store_true", help="everything that is known of them, as a list of objects")
    sub.add_argument("--accept", metavar="SET", help="agree to the licence of a set, so that it can be downloaded")
    sub = command(use, "make a published set, or a folder of your own, the one data set of params.yaml")
    sub.add_argument("name", help="of a published set, or what to call your own: letters, digits and _")
    sub.add_argument(
        "folder",
        nargs="?",
        help="your own: Positive/ (anomalous) and Negative/ (normal), a tree like MVTec AD's, or images.csv",
    )
    sub.add_argument("--positives", type=int, help="anomalous images to sample (default: the paper's, or all)")
    sub.add_argument("--negatives", type=int, help="normal images to sample (default: the paper's, or all)")
    sub = command(track, "log what the stages left on disk to MLflow, each result once")
    sub.add_argument(
        "stage",
        nargs="*",
        help="a stage and its data set and row, if it took five minutes; report logs all (default: all)",
    )
    command(register, "make the packaged detector the champion among MLflow's registered models")

    def by_detector(function, text: str) -> argparse.ArgumentParser:
        sub = command(function, text)
        sub.add_argument(
            "--detector",
            default=paths.DETECTOR,
            help="a folder, or a model of MLflow's such as models:/leanet-leaf@champion (default: %(default)s)",
        )
        return sub

    sub = by_detector(export, "write the packaged detector as one graph for other programs")
    sub.add_argument("file", type=Path, help="to write: .onnx for ONNX, .pt2 for torch.export")
    sub = by_detector(predict, "judge new images by the packaged detector")
    sub.add_argument("images", nargs="+", help="files, folders, patterns in quotes, or - for a list on stdin")
    sub.add_argument(
        "--format", dest="layout", choices=("table", "csv", "jsonl"), default="table", help="default: table"
    )
    sub.add_argument("--overlays", type=Path, metavar="FOLDER", help="write anomaly map and attention as PNG")
    sub.add_argument(
        "--criterion", metavar="C", help="of another threshold: best-f1, 'recall 0.95', 'false-alarms 0.02'"
    )
    sub.add_argument(
        "--prevalence", type=float, metavar="P", help="share of anomalous images there, for the score"
    )
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    sub.add_argument("--fail-on-anomaly", action="store_true", help="end with status 4 if an image is anomalous")

    sub = by_detector(serve, "a page to drop images on, and a JSON API, until interrupted")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)")
    sub.add_argument("--port", type=int, default=8080, help="default: 8080")
    sub.add_argument("--token", help="what requests must bear (default: none here, a new one on another --host)")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")

    arguments = parser.parse_args()
    atexit.register(gc.freeze)  # as in a stage: a last look for garbage would take a second
    try:
        arguments.function(arguments)
    except InputError as error:
        sys.exit(f"leanet: {error}")
    except KeyboardInterrupt:
        sys.exit("leanet: interrupted")
    except BrokenPipeError:  # who read what is printed has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if line := faults.explain(error):
            sys.exit(f"leanet: {line}")
        raise


if __name__ == "__main__":
    main()
