"""The answer of `leanet compare` as one HTML file that needs no network, with the images that changed sides."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from leanet.core import paths
from leanet.evaluation.scores import THRESHOLD
from leanet.report import page as report
from leanet.report.heat import MAP_TOP, heat
from leanet.report.table import text
from leanet.report.tables import title
from leanet.revisions.compared import KINDS, Compared, Section, counted
from leanet.revisions.versus import Versus

HERE = Path(__file__).parent
MOST = 60  # images of a row; the largest changes come first


def page(compared: Compared) -> str:
    """The page as HTML.

    Raises:
        InputError: images or maps of one of both are nowhere.
    """
    body = [_section(section, level) for level, section in zip((1, *[2] * 99), compared.overview, strict=False)]
    for set_ in compared.sets:
        shown = {row: set_.sides(row).head(MOST) for row in set_.rows}
        pictures = _Pictures(compared, set_, pd.concat(shown.values())["path"].unique())
        for row, sides in shown.items():
            if len(sides):
                count = len(set_.sides(row))
                told = f"{counted(count)} changed sides" + (f", the first {MOST} of them" if count > MOST else "")
                body.append(f"<h2>{escape(set_.dataset)}, {escape(title(row))}: {told}</h2>")
                body.append(
                    f'<div class="cards">{"".join(_card(image, pictures) for image in sides.itertuples())}</div>'
                )
    html = (HERE / "page.html").read_text(encoding="utf-8")
    style = (report.HERE / "page.css").read_text(encoding="utf-8")
    return html.replace("/* style */", style).replace("<!-- body -->", "\n".join(body))


def _section(section: Section, level: int) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in section.lines)
    parts = [f"<h{level}>{escape(section.title)}</h{level}>", f"<ul>{lines}</ul>" if lines else ""]
    if section.table:
        head = "".join(f'<th scope="col">{escape(column)}</th>' for column in section.table.columns)
        rows = (
            "".join(f"<td>{escape(text(row.get(column)))}</td>" for column in section.table.columns)
            for row in section.table.rows
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        parts.append(f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')
        parts.append(f'<p class="note">{escape(section.table.note)}</p>')
    return "\n".join(parts)


class _Pictures:
    """Images and maps of a data set by the path after, as data addresses; only what is shown is fetched."""

    def __init__(self, compared: Compared, set_: Versus, shown: np.ndarray):
        both = set_.images.both.set_index("path after").loc[shown]
        self.images = dict(zip(shown, _images(compared, set_, shown), strict=True))
        self.maps = {}
        for when, revision, result, names in (
            ("before", compared.before, set_.before, both["path before"]),
            ("after", compared.after, set_.after, both.index),
        ):
            places = pd.Series(range(len(result.manifest)), result.manifest["path"])[list(names)]
            folds = result.manifest["repeat1"].iloc[places].to_numpy()
            for fold in np.unique(folds):
                at = np.flatnonzero(folds == fold)
                file = paths.maps(set_.dataset) / f"fold{fold}.npy"
                maps = revision.rows_of(file, places.iloc[at].tolist())
                for place, map_ in zip(at, maps, strict=True):
                    self.maps[when, shown[place]] = report.embed(heat(map_.astype(np.float32), MAP_TOP))


def _images(compared: Compared, set_: Versus, shown: np.ndarray) -> Iterator[str]:
    places = pd.Series(range(len(set_.after.manifest)), set_.after.manifest["path"])[list(shown)]
    for pixels in compared.after.rows_of(paths.split(set_.dataset) / "images.npy", places.tolist()):
        yield report.embed(pixels)


def _card(image, pictures: _Pictures) -> str:
    """An image, and a slider between its two maps."""
    name, right = escape(image.path), (image.after > THRESHOLD) == bool(image.label)
    maps = "".join(
        f'<img src="{pictures.maps[when, image.path]}" alt="anomaly map {when}" loading="lazy">'
        for when in ("before", "after")
    )
    slider = (
        '<input type="range" min="0" max="100" value="50" '
        f'aria-label="{name}: the map after is shown right of here, before left of here">'
    )
    ends = "<span>before</span><span>after</span>"
    verdict = "now right" if right else '<span class="wrong-text">now mistaken</span>'
    picture = f'<img src="{pictures.images[image.path]}" alt="{name}" loading="lazy">'
    said = f"{name}, {KINDS[image.label]}: {image.before:.3f} → {image.after:.3f}, {verdict}"
    return (
        f'<figure class="card"><div class="pair">{picture}<div class="between">{maps}{slider}{ends}</div></div>'
        f"<figcaption>{said}</figcaption></figure>"
    )
