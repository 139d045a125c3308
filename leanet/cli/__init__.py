"""The command line: `leanet …`, a module a command."""

import argparse
import atexit
import gc
import importlib
import os
import sys

from leanet.core.errors import InputError
from leanet.run import faults

COMMANDS = {  # by the names of their modules here, which have _ for -
    "repro": "dvc repro, after the one that may be running in this folder already",
    "check": "check params.yaml and say the first thing that is wrong with it",
    "check-images": "say what else than the object tells a folder's classes apart: light, camera, files",
    "settings": "lay a file of settings/ over params.yaml: quick, photos or paper",
    "use": "make a published set, or a folder of your own, the one data set of params.yaml",
    "datasets": "list the published data sets, and what of them is on disk",
    "compare": "say what differs between commits or experiments, and what that is worth",
    "search": "find better settings of train_leanet, with a score that does not flatter them",
    "runs": "list the MLflow runs that a commit's results come from",
    "models": "list the rows with their trainable parameters beside the paper's",
    "track": "log what the stages left on disk to MLflow, each result once",
    "register": "enter the packaged detector among MLflow's models; the champion if it is no worse",
    "promote": "make a registered version the champion, whatever its merit",
    "prune": "remove kept trainings that no result of params.yaml needs",
    "predict": "judge new images by the packaged detector",
    "serve": "a page to drop images on, and a JSON API, until interrupted",
    "review": "a page on which people say what new images are, the most telling first",
    "adopt": "take what a review found into the data set's images.csv",
    "export": "write the packaged detector as one graph for other programs",
}
EXTRAS = {  # what some detectors need, and `predict --out`
    "torch": "torch",
    "torchvision": "torch",
    "skimage": "fill",
    **dict.fromkeys(("fsspec", "pyarrow", "ray", "s3fs"), "bucket"),
}


def main() -> None:
    """Run the command that the arguments name; a mistake of the user's ends in one line and status 1."""
    # Only the module of the command that is called is imported: others load torch or MLflow.
    called = next((word for word in sys.argv[1:] if word in COMMANDS), None)
    if sys.stdout:  # no name of a file ends a command, whatever letters the terminal has
        sys.stdout.reconfigure(errors="backslashreplace")
    atexit.register(gc.freeze)  # a last look for garbage among all of torch's objects would take a second
    try:
        arguments = _arguments(called)
        arguments.run(arguments)
    except InputError as error:
        sys.exit(f"leanet: {error}")
    except KeyboardInterrupt:
        sys.exit("leanet: interrupted")
    except BrokenPipeError:  # who reads what is printed has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ModuleNotFoundError as error:
        missing = error.name.partition(".")[0]
        if missing == "leanet":
            raise
        extra = EXTRAS.get(missing, "pipeline") if called in ("predict", "serve", "review") else "pipeline"
        hint = "pip install mlflow" if missing == "mlflow" else f"pip install '.[{extra}]' in leanet's folder"
        sys.exit(f"leanet: {called} needs {missing}, which is not installed: {hint}")
    except OSError as error:
        if line := faults.explain(error):
            sys.exit(f"leanet: {line}")
        raise


def _arguments(called: str | None) -> argparse.Namespace:
    """What the command line says, of all commands by name; with the arguments of the one that is called."""
    parser = argparse.ArgumentParser(prog="leanet", description="LEA-Net: colour anomaly detection as a pipeline")
    parser.set_defaults(run=lambda _: parser.print_help())
    commands, asked = parser.add_subparsers(metavar="command"), parser
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        if name == called:
            module = importlib.import_module(f"leanet.cli.{name.replace('-', '_')}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
            asked = sub
    arguments, unknown = parser.parse_known_args()
    if unknown:
        asked.error(f"unknown: {' '.join(unknown)}")  # argparse itself would show the usage of all commands
    return arguments
