"""`python -m benchmarks.promises OUT`: is a promise of few false alarms kept on images that nobody saw?

Detectors of normal leaves alone, by the pipeline's own stages from drawing to package, each of leaves and networks
of its own, then NEW new normal leaves. As small as those of benchmarks.packagings. A promise is a share that is
not exceeded in 95 of 100 detectors (leanet.detector.conformal).
"""

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.packagings import SIDE, call, maps
from leanet.core import paths
from leanet.detector.conformal import promise
from leanet.detector.detector import Detector
from leanet.evaluation.rates import clopper_pearson
from leanet.images import leaf
from stages import baselines, package

COUNTS, NEW, ASKED = (50, 100, 200), 2000, 0.02


def judged(count: int, seed: int) -> dict[str, object]:
    """What the packaged detector promises, and its false alarms on new leaves."""
    detector = Detector.load(paths.DETECTOR, "cpu")
    draw = np.random.default_rng([seed, count])
    new = detector.predict(np.stack([leaf.draw(draw, SIDE, anomalous=False).image for _ in range(NEW)]))
    promised = promise(detector.scores, detector.known["groups"], ASKED)
    raised = float((new.scores > promised.line).mean())
    return {
        "images": count,
        "seed": seed,
        "promised": promised.share,
        "new": raised,
        "kept": raised <= promised.share,
    }


def table(every: pd.DataFrame) -> str:
    """How often promises are kept, in Markdown."""
    lines = [
        "| normal images | promised | detectors | kept | false alarms on new leaves, mean (highest) |",
        "|" + "---|" * 5,
    ]
    for count, group in every.groupby("images"):
        low, high = clopper_pearson(int(group["kept"].sum()), len(group))
        kept = f"{group['kept'].sum()} [{low:.3f}, {high:.3f}]"
        raised = f"{group['new'].mean():.2%} ({group['new'].max():.2%})"
        lines.append(f"| {count} | {group['promised'].mean():.2%} | {len(group)} | {kept} | {raised} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.promises", description=__doc__)
    parser.add_argument("out", type=Path, help="where the projects stay")
    parser.add_argument(
        "--seeds", type=int, nargs=2, default=[1, 100], metavar=("FIRST", "LAST"), help="default: 1 100"
    )
    arguments = parser.parse_args()
    out, lines = arguments.out.resolve(), []
    for seed in range(arguments.seeds[0], arguments.seeds[1] + 1):
        for count in COUNTS:
            root = out / f"{count}-{seed}"
            root.mkdir(parents=True, exist_ok=True)
            os.chdir(root)
            if not paths.DETECTOR.exists():
                maps(root, {"positives": 1, "negatives": count}, seed, positives=0)
                call(baselines, "leaf")
                call(package)
            lines.append(judged(count, seed))
            print(lines[-1], flush=True)
    every = pd.DataFrame(lines)
    every.round(5).to_csv(out / "promises.csv", index=False)
    print(table(every))


if __name__ == "__main__":
    main()
