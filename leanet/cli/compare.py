"""`leanet compare`: what differs between commits, experiments and the workspace, and what that is worth."""

import argparse
import json
from pathlib import Path

from leanet.core import files
from leanet.core.errors import InputError
from leanet.revisions import revision
from leanet.revisions.compared import Compared, markdown, plain, several
from leanet.tracking import commits, store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "revision",
        nargs="*",
        help='branches, tags, commits, experiments, or "workspace"; of two, the older first; more make a table '
        "(default: HEAD and workspace)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--md", action="store_true", help="as Markdown, for a pull request")
    how.add_argument("--json", action="store_true", help="as JSON, with every image that changed sides")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also as a page with pictures of these images")
    parser.add_argument("--track", action="store_true", help="log that page to the later state's report in MLflow")


def run(arguments: argparse.Namespace) -> None:
    names = arguments.revision or ["HEAD"]
    if len(names) == 1:
        names = [*names, revision.WORKSPACE]
    found = [revision.find(name) for name in names]
    pairs = [Compared(found[0], each) for each in found[1:]]
    if arguments.html or arguments.track:
        if len(pairs) > 1:
            raise InputError("a page shows two states, and more are named")
        from leanet.revisions.page import page

        html = page(pairs[0])
        if arguments.html:
            files.write(arguments.html, html)
        if arguments.track:
            _track(pairs[0], html)
    if arguments.json:
        trees = [pair.tree for pair in pairs]
        print(json.dumps(trees[0] if len(trees) == 1 else trees, indent=1, ensure_ascii=False))
        return
    sections = pairs[0].sections if len(pairs) == 1 else several(found)
    print(markdown(sections) if arguments.md else plain(sections))


def _track(pair: Compared, html: str) -> None:
    """Log the page to the run of the later state's report.

    Raises:
        InputError: there is no such run.
    """
    locked = {address: entry for address, entry in pair.after.locked.items() if address == "report"}
    with store.opened(None) as (client, experiment):
        found = commits.runs_of(client, experiment, locked)
        if not found:
            raise InputError(f"MLflow has no run of {pair.after}'s report; `leanet track` logs the workspace's")
        client.log_text(found["report"].info.run_id, html, f"compare-{pair.before.name.replace('/', '-')}.html")
