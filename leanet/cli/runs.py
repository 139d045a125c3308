"""`leanet runs`: the runs in MLflow that a commit's results come from."""

import argparse
from datetime import datetime

from leanet.revisions import revision
from leanet.run import pipeline
from leanet.tracking import commits, store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "revision", nargs="?", default="HEAD", help='as `leanet compare` takes it, or "workspace" (default: HEAD)'
    )


def run(arguments: argparse.Namespace) -> None:
    asked = revision.find(arguments.revision)
    # dvc.lock keeps rows that are no longer there; `check` makes nothing to log.
    stages = [stage.address for stage in pipeline.stages(asked.params) if stage.name != "check"]
    locked = {address: asked.locked[address] for address in stages if address in asked.locked}
    with store.opened(None) as (client, experiment):
        found = commits.runs_of(client, experiment, locked)
    for address in locked:
        if address in found:
            about = found[address].info
            began = datetime.fromtimestamp(about.start_time / 1000).isoformat(" ", "minutes")
            print(f"{address:40} {about.run_id}  {began}  {commits.page(experiment, about.run_id)}".rstrip())
        else:
            print(f"{address:40} not logged, or not since; `leanet track` logs what is in the workspace")
