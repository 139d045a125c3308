"""The report as one page: a single HTML file that needs no network (section 4, all tables and figures).

What is shown is data (JSON) in the page; page.html, page.css and page.js beside this module draw it.
"""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from leanet.evaluation.counts import pooled_curve
from leanet.evaluation.scores import THRESHOLD, score_images
from leanet.images import imageset
from leanet.images.imageset import ImageSet
from leanet.report.heat import MAP_TOP, heat
from leanet.report.results import Results
from leanet.report.table import Table
from leanet.report.tables import named, proportion

HERE = Path(__file__).parent
SIDE = 128  # pixels of an image on the page, at most
MOST_IMAGES = 400  # of a data set on the page; mistaken ones come first


def page(sections: list[dict], facts: dict[str, str]) -> str:
    """The page as HTML. sections: see `section`, one a data set. facts: what was run, by name."""
    data = json.dumps({"facts": facts, "sections": sections}, allow_nan=False, separators=(",", ":"))
    html = (HERE / "page.html").read_text(encoding="utf-8")
    for mark, content in (
        ("/* style */", (HERE / "page.css").read_text(encoding="utf-8")),
        ("/* script */", (HERE / "page.js").read_text(encoding="utf-8")),
        ("/* data */", data.replace("<", "\\u003c")),  # no name of an image ends the script
    ):
        html = html.replace(mark, content)
    return html


def section(
    results: Results,
    tables: list[Table],
    said: list[str],
    pictures: dict[str, Path],
    data: ImageSet,
    maps: Path,
) -> dict:
    """What the page shows of one data set.

    said: the result in words, the sentence that comes first at its head. pictures: files by caption. maps: the
    folder of the anomaly maps; each image is shown with that by the fold which it is tested in.
    """
    maps_by = [imageset.load_maps(maps, fold, data) for fold in range(results.folds)]
    shown = _shown(results)
    place = {path: at for at, path in enumerate(results.manifest["path"].iloc[shown])}
    return {
        "name": results.dataset,
        "counts": f"{results.positives} anomalous, {results.negatives} normal images",
        "findings": results.findings["remarks"],
        "tables": [_table(table) for table in tables],
        "primary": named(results, results.primary),
        "suspects": [
            [place[image.path], round(image.score, 4)]
            for image in results.suspects.itertuples()
            if image.path in place
        ],
        "summary": said[0],
        "remarks": said[1:],
        "forest": [
            {"name": named(results, row), "mean": s.f1.mean, "low": s.f1.interval[0], "high": s.f1.interval[1]}
            for row, s in results.scores.items()
            if not s.f1.undefined
        ],
        "precisionRecall": [
            {
                "name": named(results, row),
                "points": [[round(float(x), 4), round(float(y), 4)] for x, y in zip(*curve, strict=True)],
            }
            for row, curve in _curves(results)
        ],
        "rows": [_row(results, row, place) for row in results.scores],
        "sweep": [
            {
                "name": named(results, row),
                "points": [
                    [proportion(results, share), figure.mean]
                    for share, figure in curve.items()
                    if not figure.undefined
                ],
            }
            for row, curve in results.sweep.items()
        ],
        "images": [
            {
                "path": results.manifest["path"].iloc[i],
                "label": int(results.manifest["label"].iloc[i]),
                "src": embed(data.images[i]),
                "map": embed(heat(maps_by[data.first_tested_in[i]][i].astype(np.float32), MAP_TOP)),
            }
            for i in shown
        ],
        "pictures": [{"caption": caption, "src": _embed_file(file)} for caption, file in pictures.items()],
    }


def _curves(results: Results) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Recall and precision of each row, where both classes were tested."""
    for row, table in results.predictions.items():
        if table["label"].nunique() == 2:
            yield row, pooled_curve(table, results.folds)


def _shown(results: Results) -> np.ndarray:
    """Indices of the images that the page holds: suspects first, then those that most rows mistake."""
    mistakes = pd.concat(results.predictions.values())
    mistakes = mistakes[(mistakes["score"] > THRESHOLD) != (mistakes["label"] == 1)]
    suspected = results.manifest["path"].isin(results.suspects["path"])
    times = (
        results.manifest["path"].map(mistakes["path"].value_counts()).fillna(0).to_numpy()
        + len(results.scores) * suspected
    )
    return np.sort(np.argsort(-times, kind="stable")[:MOST_IMAGES])


def _table(table: Table) -> dict:
    return {
        "name": table.name,
        "title": table.title,
        "note": table.note,
        "columns": table.columns,
        "rows": table.cells,
    }


def _row(results: Results, row: str, place: dict[str, int]) -> dict:
    """A row's folds, losses, and the score of every image that the page holds."""
    predictions = results.predictions[row]
    folds = []
    for fold, images in predictions.groupby("fold"):
        called, anomalous = images["score"] > THRESHOLD, images["label"] == 1
        folds.append(
            {
                "fold": int(fold),
                "point": int(images["point"].iloc[0]),
                **{name: _text(score) for name, score in score_images(images).items()},
                "tp": int((called & anomalous).sum()),
                "fp": int((called & ~anomalous).sum()),
                "fn": int((~called & anomalous).sum()),
                "tn": int((~called & ~anomalous).sum()),
            }
        )
    on_page = predictions[predictions["path"].isin(place)].sort_values("score", ascending=False)
    history = results.history.get(row)
    loss = {} if history is None else history.groupby("epoch")["loss"].mean()
    return {
        "name": named(results, row),
        "folds": folds,
        # place on the page, fold, score: highest score first
        "scores": [[place[image.path], int(image.fold), round(image.score, 4)] for image in on_page.itertuples()],
        "loss": [[int(epoch), round(value, 5)] for epoch, value in loss.items()],
    }


def _text(score) -> str:
    return f"{score:.3f}" if isinstance(score, float) else str(score)


def embed(pixels: np.ndarray) -> str:
    """An image, uint8 (H, W, 3), as a data address."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    return _address(image)


def _embed_file(file: Path) -> str:
    with Image.open(file) as image:
        return _address(image.convert("RGB"))


def _address(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
