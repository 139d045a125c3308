"""`python -m benchmarks.unsampled`: the packaged detector on images of its data set that were never sampled.

No network, threshold or calibration has seen them: the model card can be held against them.
"""

import sys

import numpy as np
from sklearn.metrics import roc_auc_score

from leanet.core import paths
from leanet.core.progress import Progress
from leanet.detector.detector import Detector
from leanet.evaluation.rates import clopper_pearson
from leanet.images import layout


def main() -> None:
    detector = Detector.load(paths.DETECTOR)
    root = paths.raw(detector.facts["dataset"])
    items = [item for item in layout.read(root) if item.path not in set(detector.facts["images"])]
    if not items:
        sys.exit("no image is left over: params.yaml samples all of the data set")
    scores = []
    with Progress(len(items), "unsampled images") as progress:
        for judged, _ in detector.stream(root / item.path for item in items):
            scores.append(judged.scores)
            progress.step(len(judged.scores))
    scores, labels = np.concatenate(scores), np.array([item.label for item in items])
    at, known = detector.threshold, detector.known["labels"]
    print(f"{detector.facts['row']}, {at.summary}")
    for label, name, said in ((1, "anomalous", at.recall), (0, "normal", at.false_alarms)):
        of_class = scores[labels == label]
        if not len(of_class):
            continue
        called = int((of_class > at.value).sum())
        low, high = clopper_pearson(called, len(of_class))
        share = f"{called / len(of_class):.4f} [{low:.4f}, {high:.4f}]"
        print(f"{len(of_class):,} {name} images: {share} called anomalous (the card: {said})")
        other = detector.scores[known != label]
        both = np.concatenate([of_class, other]), np.repeat([label, 1 - label], [len(of_class), len(other)])
        print(f"AUROC against the out-of-fold scores of the other class: {roc_auc_score(both[1], both[0]):.4f}")


if __name__ == "__main__":
    main()
