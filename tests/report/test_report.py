"""The report: tables in all their forms, and the page in a real browser."""

import numpy as np
import pandas as pd
import pytest

from leanet.attention import rows
from leanet.evaluation.baselines import BASELINES
from leanet.evaluation.comparison import Comparison
from leanet.evaluation.scores import Figure, Undefined, score_row
from leanet.images import imageset
from leanet.images.imageset import ImageSet
from leanet.report import paper
from leanet.report.page import page, section
from leanet.report.results import Results
from leanet.report.table import Table
from leanet.report.tables import (
    NOT_RUN,
    f1_table,
    markdown,
    metrics,
    paper_table,
    proportion,
    tables,
    title,
)
from leanet.report.words import border_shortcut, difference, remarks, summary
from leanet.run import leftovers


def results(dataset="potato", named=("resnet18", "resnet18-direct", *BASELINES)) -> Results:
    """Results as if three folds had been run; the better the later the row."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 0, 1], 8)
    manifest = pd.DataFrame(
        {"path": [f"{i}.png" for i in range(24)], "label": labels, "repeat1": np.arange(24) % 3}
    )
    folds = np.arange(24) // 8  # so that every fold has both labels
    manifest["repeat1"] = folds
    manifest["group"] = np.arange(24)
    predictions, scores = {}, {}
    for at, row in enumerate(named):
        score = np.clip(0.3 * labels * (at + 1) / 2 + rng.uniform(0.1, 0.6, 24), 0, 1)
        table = pd.DataFrame({"path": manifest["path"], "label": labels, "fold": folds, "point": 0, "share": 1.0})
        predictions[row] = table.assign(score=score)
        scores[row] = score_row(predictions[row], 3)
    altered = {
        row: pd.concat(predictions[row].assign(kind=kind) for kind in ("blurred", "exchanged"))
        for row in named
        if row not in BASELINES
    }
    none = Figure((Undefined("the set has no masks"),) * 3, 3)
    return Results(
        dataset=dataset,
        recipe="fast",
        manifest=manifest,
        findings={"exact": [], "near": [], "remarks": ["Pairs of exact duplicates: 1: a.png and b.png."]},
        folds=3,
        scores=scores,
        predictions=predictions,
        altered=altered,
        points={row: {0: scores[row].f1} for row in named},
        history={},
        sweep={},
        localization={"pixel_auroc": none, "aupro": none},
    )


def test_titles_are_those_of_the_paper():
    assert title("vgg16-attentioned-input") == "VGG16 (Attentioned input)"
    assert title("cnn-mobilenet") == "basic CNN + MobileNet-like CAAN"
    assert title("efficientnet_b0-resnet") == "efficientnet_b0 + ResNet-based CAAN"


def test_ours_stand_beside_the_papers_and_what_is_missing_stays_visible():
    ours = results()
    table = paper_table(ours).rows
    assert len(table) == len([1 for _, dataset in paper.f1() if dataset == "potato"]) == 16 + 7
    by_row = {line["row"]: line for line in table}
    line = by_row["ResNet18"]
    difference = ours.scores["resnet18"].paper_f1.mean - 0.767
    assert line["difference"] == pytest.approx(difference)
    assert line["in their deviations"] == pytest.approx(difference / 0.164)
    missing = by_row["VGG16 + ResNet-based CAAN"]
    assert (missing["ours, recipe fast"], missing["difference"]) == (NOT_RUN, None)
    assert str(missing["the paper"]) == "0.947 ± 0.064 (1)"
    assert paper_table(results("own")).rows == []


def test_baselines_are_in_the_table_and_every_row_is_held_against_them():
    table = {line["row"]: line for line in f1_table(results()).rows}
    assert table["L*a*b* histogram, random forest"]["against histogram"] is None
    assert table["ResNet18"]["against plain"] is None
    direct, ours = table["ResNet18 + Direct Attention"], results().scores
    for column, other in (("against plain", "resnet18"), ("against histogram", "lab-histogram")):
        effect = ours["resnet18-direct"].f1.mean - ours[other].f1.mean
        assert direct[column].effect == pytest.approx(effect)


def test_a_row_without_its_plain_adn_says_so_and_a_set_of_another_size_too():
    ours = results("leaf", named=("resnet18-direct", "lab-histogram"))
    table = {line["row"]: line for line in f1_table(ours).rows}
    assert str(table["ResNet18 + Direct Attention"]["against plain"]) == "undefined (no row resnet18)"
    assert "another task" not in paper_table(ours).note
    assert "has 50 anomalous and 152 normal images, this one 8 and 16" in paper_table(results("potato")).note


def test_what_is_undecided_is_called_so_with_what_it_may_be():
    said = difference("a", "b", Comparison(0.02, -0.09, 0.12, p=0.6), p=0.6, how="by Holm")
    assert said == "Undecided: a against b, a difference of F1 between -0.09 and +0.12 (p = 0.60, by Holm)."
    said = difference("a", "b", Comparison(-0.1, -0.2, -0.05, p=0.005), p=0.005, how="by Holm")
    assert said == "a is below b by 0.10, between -0.20 and -0.05 (p < 0.01, by Holm)."
    # Sure by itself, and not among so many.
    assert difference("a", "b", Comparison(0.1, 0.0, 0.2, p=0.04), p=0.12, how="by Holm").startswith("Undecided")
    assert "in every fold" in difference("a", "b", Comparison(0.1, 0.1, 0.1, p=None), None, "")
    assert (
        difference("a", "b", Comparison(0.0, 0.0, 0.0, p=None), None, "")
        == "a has the same F1 as b in every fold."
    )
    ours = results(named=("resnet18", "resnet18-direct", "resnet18-resnet", *BASELINES))
    _, first, second, third = remarks(ours)  # the first is of the border
    assert "Direct Attention" in first
    assert "by Holm" in first
    assert "ResNet-based CAAN with its vote" in second
    assert "named beforehand" in second
    assert "counting colours" in third
    assert "by Holm" in third


def test_the_first_sentence_counts_images():
    ours = results()
    row = ours.predictions["resnet18-direct"]
    found, raised = (int(((row["score"] > 0.5) & (row["label"] == label)).sum()) for label in (1, 0))
    said = summary(ours)
    assert said.startswith(
        f"ResNet18 + Direct Attention finds {found} of 8 anomalous images and raises {raised or 'no'}"
    )
    assert f"false alarm{'s' * (raised > 1)} on 16 normal ones; plain ResNet18 finds " in said
    assert "counting colours finds" in said
    assert "the border alone finds" in said


def test_a_border_that_tells_the_classes_apart_is_said_first():
    ours = results(named=("resnet18", *BASELINES))  # the later the row, the better
    low, high = ours.scores["border-histogram"].auroc.interval
    assert low > 0.5
    auroc = f"AUROC {ours.scores['border-histogram'].auroc.mean:.2f} [{low:.2f}, {high:.2f}]"
    assert remarks(ours)[0].startswith(
        f"What surrounds the objects, or the outermost pixels, alone tells the classes apart: {auroc}, "
    )
    by_chance = Figure((0.4, 0.55, 0.7), 3)
    assert border_shortcut(by_chance) is None
    assert border_shortcut(Figure((0.4, Undefined("no anomalous image"), 0.7), 3)) is None


def test_the_axis_of_fewer_positives_is_that_of_the_papers_figure():
    """Fig. 4: of the original set, whatever was dropped from it."""
    ours = results()
    assert proportion(ours, 1) == pytest.approx(8 / 24)
    assert proportion(ours, 0.25) == pytest.approx(2 / 24)


def test_undefined_figures_are_said_everywhere():
    ours = results()
    text = markdown(ours, tables(ours), [summary(ours), *remarks(ours)])
    assert "undefined (fold 1: the set has no masks)" in text
    assert "nan" not in text.lower()
    assert "- Pairs of exact duplicates: 1: a.png and b.png." in text
    assert metrics(ours)["anomaly-map"]["aupro"] == "undefined (fold 1: the set has no masks)"
    localization = next(table for table in tables(ours) if table.name == "localization")
    assert "the set has no masks" in localization.frame.to_csv()


def test_where_all_folds_are_alike_no_interval_is_told(monkeypatch):
    at = results()
    monkeypatch.setattr(Figure, "interval", (1.0, 1.0))
    assert {line["95 % interval"] for line in f1_table(at).rows} == {"none: all folds alike"}


def test_the_same_table_as_markdown_and_csv():
    table = Table("t", "T", "", [{"row": "a", "F1": Figure((0.5, 0.7), 2)}, {"row": "b", "F1": NOT_RUN}])
    assert table.markdown.splitlines()[2:] == ["| a | 0.600 ± 0.100 |", "| b | not run |"]
    frame = table.frame
    assert frame.loc[0, ["F1: mean", "F1: deviation"]].tolist() == [0.6, 0.1]
    assert frame.loc[1, "F1"] == NOT_RUN
    assert table.cells[0][1] == {"text": "0.600 ± 0.100", "by": 0.6}


def test_a_name_is_no_markup_in_markdown():
    found = results()
    found.findings["remarks"] = ["Exact duplicates, 1: <img src=x onerror=alert(1)>.png and b.png."]
    table = Table("suspects", "Suspects", "Look.", [{"image": "<b>|x.png", "score": 0.5}])
    said = markdown(found, [table], ["Summary."])
    assert r"- Exact duplicates, 1: \<img src=x onerror=alert(1)>.png and b.png." in said
    assert r"| \<b>\|x.png | 0.500 |" in said


def test_a_name_cannot_break_out_of_the_page(tmp_path):
    ours = results(named=("cnn", "lab-histogram"))
    ours.manifest.loc[0, "path"] = "</script><script>alert(1)//.png"
    data = ImageSet(np.zeros((24, 8, 8, 3), np.uint8), ours.manifest)
    for fold in range(ours.folds):
        np.save(tmp_path / f"fold{fold}.npy", np.zeros((24, 8, 8), np.float16))
    imageset.seal(tmp_path)
    made = section(ours, tables(ours), [""], {}, data, tmp_path)
    html = page([made], {})
    assert "</script><script>alert" not in html
    assert html.count("<script") == 2


@pytest.fixture
def opened(browser, finished):
    """The page of a finished run, on a desktop's screen; it must not err, nor ask for anything from outside."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
    wrong = []
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    tab.goto((finished.root / "report/index.html").as_uri())
    yield tab
    assert wrong == []


F1 = "[data-table=f1]"


def column(tab, at: int, table: str = F1) -> list[str]:
    return tab.locator(f"{table} tbody tr td:nth-child({at})").all_inner_texts()


def test_the_page_sorts_and_filters(opened, finished):
    found = finished.metrics()
    found.pop("anomaly-map")
    shown = dict(zip(column(opened, 1), column(opened, 2), strict=True))
    assert {name: float(text.split()[0]) for name, text in shown.items()} == pytest.approx(
        {title(row): scores["f1"] for row, scores in found.items()}, abs=6e-4
    )
    numbers = sorted(shown.values())
    header = opened.locator(f"{F1} th:nth-child(2) button")
    header.click()
    assert column(opened, 2) == numbers[::-1]
    header.click()
    assert column(opened, 2) == numbers
    opened.locator(F1).get_by_role("searchbox").fill("direct CNN")
    assert column(opened, 1) == ["basic CNN + Direct Attention"]
    opened.locator(F1).get_by_role("searchbox").fill("")
    assert len(column(opened, 1)) == 2 + len(BASELINES)


def test_a_row_opens_its_folds_and_images(opened, finished):
    opened.locator(F1).get_by_role("button", name="basic CNN", exact=True).click()
    dialog = opened.locator("dialog#row")
    assert dialog.locator("table").first.locator("tbody tr").count() == 2
    predictions = pd.read_csv(finished.root / "data/cv/leaf/cnn/predictions.csv")
    mistaken = (predictions["score"] > 0.5) != (predictions["label"] == 1)
    assert dialog.get_by_text(f"Mistaken images ({mistaken.sum()})").is_visible()
    assert dialog.locator(".strip").last.locator("button").count() == len(predictions)
    confusion = dialog.locator("table").nth(1).locator("td").all_inner_texts()
    called = predictions["score"] > 0.5
    anomalous = predictions["label"] == 1
    expected = [(called & anomalous).sum(), (~called & anomalous).sum()]
    assert [int(n) for n in confusion[1:3]] == expected

    first = predictions.sort_values("score", ascending=False).iloc[0]
    dialog.locator(".strip").last.locator("button").first.click()
    image = opened.locator("dialog#image")
    assert image.get_by_role("heading").inner_text() == first["path"]
    sizes = image.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert sizes == [32, 32]
    opened.keyboard.press("Escape")
    assert not image.is_visible()
    assert dialog.is_visible()


def test_pictures_and_curves_are_on_the_page(opened):
    for shown in opened.locator("details:not([open]) > summary").all()[::-1]:
        shown.click()
    pictures = opened.locator("details img")
    assert (
        pictures.count() == 4 + 2
    )  # maps, the set, altered images, augmentation; the attending row at two points
    for i in range(pictures.count()):
        pictures.nth(i).scroll_into_view_if_needed()
        opened.wait_for_function("image => image.naturalWidth > 100", arg=pictures.nth(i).element_handle())
    rows = 2 + len(BASELINES)
    # Precision and recall; the sweep's curves; the rows' losses.
    assert opened.locator("section svg polyline").count() == rows + 1 + len(BASELINES) + 2
    assert opened.locator("svg .mean").count() == rows  # the forest plot


def test_the_page_fits_a_phone_and_the_dark(opened):
    opened.set_viewport_size({"width": 390, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    light = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.emulate_media(color_scheme="dark")
    dark = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(22, 24, 28)")


def test_all_rows_have_a_name_of_their_own():
    assert len({title(row) for row in rows.PAPER}) == len(rows.PAPER) == 23


def test_files_beside_the_folders_of_data_sets_are_left_alone(finished, tmp_path, monkeypatch):
    """DVC writes a .gitignore there, in a project that does not ignore data as a whole."""
    project = finished.copy(tmp_path / "project")
    monkeypatch.chdir(project.root)
    kept = [project.root / "data" / place / ".gitignore" for place in ("split", "cv", "cv/leaf", "sweep/leaf")]
    for file in kept:
        file.touch()
    for folder in ("data/maps/old", "data/cv/old/cnn", "data/cv/leaf/vgg16", "data/sweep/leaf/cnn-direct"):
        (project.root / folder).mkdir(parents=True)
    leftovers.drop(["leaf"], ["cnn", "cnn-direct"], ["cnn"])
    assert all(file.exists() for file in kept)
    assert sorted(folder.name for folder in (project.root / "data/cv/leaf").glob("*/")) == [
        "border-histogram",
        "cnn",
        "cnn-direct",
        "lab-histogram",
        "map-one-class",
        "map-threshold",
    ]
    assert not (project.root / "data/maps/old").exists()
    assert not (project.root / "data/cv/old").exists()
    assert not (project.root / "data/sweep/leaf/cnn-direct").exists()
