"""`leanet promote`: a registered detector becomes the champion, whatever its merit."""

import argparse
import logging

from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.folder import read_facts
from leanet.packaging.registry import ALIAS, model_of, promote
from leanet.tracking import store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="its number, or its address such as models:/leanet-leaf/3")


def run(arguments: argparse.Namespace) -> None:
    named, _, version = arguments.version.removeprefix("models:/").rpartition("/")
    name = named or model_of(read_facts(paths.DETECTOR))
    logging.disable()  # what MLflow says of its errors in pages is said here in a line
    try:
        promote(name, version)
    except InputError:
        raise
    except Exception as error:
        raise InputError(store.refusal(error, "the champion", "")) from None
    print(f"models:/{name}/{version} is the {ALIAS}: models:/{name}@{ALIAS}")
