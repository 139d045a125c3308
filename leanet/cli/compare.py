"""`leanet compare`: what differs between commits, experiments and the workspace, and what that is worth."""

import argparse
import json
from pathlib import Path

from leanet.core import files
from leanet.core.errors import InputError
from leanet.revisions import revision
from leanet.revisions.compared import Compared, markdown, plain, several


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


def run(arguments: argparse.Namespace) -> None:
    names = arguments.revision or ["HEAD"]
    if len(names) == 1:
        names = [*names, revision.WORKSPACE]
    found = [revision.find(name) for name in names]
    pairs = [Compared(found[0], each) for each in found[1:]]
    if arguments.html:
        if len(pairs) > 1:
            raise InputError("--html shows two states, and more are named")
        from leanet.revisions.page import page

        files.write(arguments.html, page(pairs[0]))
    if arguments.json:
        trees = [pair.tree for pair in pairs]
        print(json.dumps(trees[0] if len(trees) == 1 else trees, indent=1, ensure_ascii=False))
        return
    sections = pairs[0].sections if len(pairs) == 1 else several(found)
    print(markdown(sections) if arguments.md else plain(sections))
