"""Where each artefact lies, relative to the project's root; nobody else spells a path."""

from pathlib import Path

PARAMS = Path("params.yaml")
SOURCES = Path("data/sources")  # descriptions of data sets
FIRST_SEEN = SOURCES / "first-seen.json"  # hashes of archives whose publisher gives none
DOWNLOADS = Path("data/downloads")  # archives: outside DVC, since data sets share them; may be removed
ACCEPTED = DOWNLOADS / "accepted.txt"  # pages of the licences that this user has agreed to
KEPT = Path("data/kept")  # what trainings came to: outside DVC, which removes outputs before a stage runs
LOGS = Path("logs")  # timings: outside DVC, since they differ from run to run
METRICS = Path("metrics/rows")  # by data set and row
TABLE = Path("metrics/report.md")
TABLES = Path("metrics/tables")
PICTURES = Path("report/pictures")
PAGE = Path("report/index.html")
DETECTOR = Path("models/detector")
FACTS = "detector.json"  # in a detector's folder: what it says of itself

CHECKED = Path("data/checked")  # that params.yaml is in order
RAW, SPLIT, AUGMENT, UNET, MAPS, LOCALIZATION, CV, SWEEP = (
    Path("data") / name for name in ("raw", "split", "augment", "unet", "maps", "localization", "cv", "sweep")
)


def raw(dataset: str) -> Path:
    """Images as they came: `Positive/`, `Negative/`, and `Mask/` where the set has masks."""
    return RAW / dataset


def split(dataset: str) -> Path:
    """`images.npy`, `manifest.csv`, `findings.json` and, where the set has ground truth, `masks.npy`."""
    return SPLIT / dataset


def basis(dataset: str) -> Path:
    """The Fancy-PCA basis of each fold."""
    return AUGMENT / f"{dataset}.json"


def unet(dataset: str) -> Path:
    """`fold<k>.safetensors` or `folds<j>-<k>.safetensors`, colourisers by what they leave out; their history."""
    return UNET / dataset


def maps(dataset: str) -> Path:
    """`fold<k>.npy`, the anomaly maps of all images for the networks of fold k, and `recolored.npy`."""
    return MAPS / dataset


def findings(dataset: str) -> Path:
    """What stage split found in the images (leanet.images.findings)."""
    return SPLIT / dataset / "findings.json"


def cv(dataset: str, row: str) -> Path:
    """`predictions.csv` of the cross-validated `row` or baseline, its history and a few examples for pictures."""
    return CV / dataset / row


def localization(dataset: str) -> Path:
    """How well the anomaly maps find the place, a row a fold."""
    return LOCALIZATION / dataset / "folds.json"


def needed(address: str) -> Path:
    """The keys of the trainings that the result of the stage at `address` needs, as a list."""
    return KEPT / f"{address}.json"


def sweep(dataset: str, row: str) -> Path:
    """`predictions.csv` of the `row` or baseline at shares of the training positives, and its history."""
    return SWEEP / dataset / row
