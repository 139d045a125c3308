"""`leanet datasets`: the published sets, their licences, and what of them is on disk."""

import argparse
import dataclasses
import json

from leanet.core import paths
from leanet.images import catalogue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="everything that is known of them, as a list of objects"
    )
    parser.add_argument(
        "--accept", metavar="SET", help="agree to the licence of a set, so that it can be downloaded"
    )


def run(arguments: argparse.Namespace) -> None:
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
    print("* to be agreed to: dvc repro asks, or leanet datasets --accept SET")
    print("leanet use SET makes one the data set of params.yaml; dvc repro then downloads it")
