"""The transcription of the paper's tables; the values here were read off the text on their own."""

import pytest

from leanet.attention import rows
from leanet.report import paper

SETS = {
    3: {"retina", "potato", "cloud", "leather", "wood"},
    5: {"hurricane", "concrete", "grape", "strawberry"},
    6: {"tile", "hazelnut", "carpet"},
    7: {"retina", "potato", "cloud", "leather"},
    8: {"hurricane", "concrete", "grape", "hazelnut"},
}


def cell(table, row, column):
    found = paper.cells()
    found = found[(found["table"] == table) & (found["row"] == row) & (found["column"] == column)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize(
    ("table", "row", "dataset", "printed"),
    [
        (3, "resnet18", "potato", "0.767 ± 0.164"),
        (3, "resnet50", "potato", "0.425 ± 0.315"),
        (3, "resnet18-resnet", "potato", "0.948 ± 0.039 (4)"),
        (3, "resnet18-mobilenet", "wood", "0.719 ± 0.247 (2)"),
        (3, "vgg16-4ch-input", "leather", "0.925 ± 0.033"),
        (3, "vgg16-resnet", "retina", "0.764 ± 0.069 (5)"),
        (5, "vgg19", "strawberry", "0.963 ± 0.030"),
        (5, "vgg16-map-input", "hurricane", "0.400 ± 0.000"),
        (5, "resnet18-direct", "grape", "0.951 ± 0.046 (1)"),
        (6, "vgg16-attentioned-input", "carpet", "0.252 ± 0.141"),
        (6, "vgg16-mobilenet", "hazelnut", "0.828 ± 0.066 (4)"),
        (7, "cnn-mobilenet", "potato", "0.925 ± 0.033 (5)"),
        (7, "cnn-direct", "leather", "0.625 ± 0.110 (5)"),
        (8, "cnn-resnet", "hazelnut", "0.545 ± 0.261 (5)"),
        (8, "cnn-attentioned-input", "hurricane", "0.601 ± 0.180"),
    ],
)
def test_f1_as_printed(table, row, dataset, printed):
    published = paper.f1()[row, dataset]
    assert (published.table, str(published)) == (table, printed)


def test_other_tables_as_printed():
    assert [cell(2, "wood", c).value for c in ("Positive", "Negative", "P to N Ratio", "Total")] == [
        60,
        266,
        0.226,
        326,
    ]
    assert [cell(4, "carpet", c).value for c in ("Positive", "Negative", "P to N Ratio", "Total")] == [
        89,
        308,
        0.289,
        397,
    ]
    assert cell(1, "Params", "ResNet-based CAAN").value == 4.491
    assert cell(1, "Params", "MobileNet-like CAAN").value == 3.042
    assert cell(1, "block 5", "MobileNet-like CAAN").text == "[bneck, 5x5, 96] × 3"
    assert [cell(9, "9", c).text for c in ("Layer Type", "Output dim", "Filters")] == ["Conv2D → BN", "1×1", "512"]
    assert cell(9, "24", "Activation").text == "sigmoid"
    assert paper.parameters()["vgg19"] == 171.0


@pytest.mark.parametrize("table", paper.F1_TABLES)
def test_every_row_has_all_its_columns(table):
    cells = paper.cells()
    cells = cells[cells["table"] == table]
    adns = {"cnn"} if table in (7, 8) else {"resnet18", "resnet50", "vgg16", "vgg19"}
    assert set(cells["row"]) == {row for row in rows.PAPER if rows.parts(row).adn in adns}
    for row, columns in cells.groupby("row"):
        assert sorted(columns["column"]) == sorted({"Params", *SETS[table]})
        scored = columns[columns["column"] != "Params"]
        assert scored["deviation"].notna().all()
        assert scored["value"].between(0, 1).all()
        attends = rows.parts(row).external is not None
        assert scored["point"].notna().all() if attends else scored["point"].isna().all()


def test_counts_of_tables_2_and_4_add_up():
    cells = paper.cells()
    for table, sets in ((2, 5), (4, 7)):
        counts = cells[cells["table"] == table].pivot(index="row", columns="column", values="value")
        assert len(counts) == sets
        assert (counts["Positive"] + counts["Negative"] == counts["Total"]).all()
        # Table 4 prints the ratio of Tile one thousandth off (84 / 263 = 0.3194).
        assert (counts["Positive"] / counts["Negative"] - counts["P to N Ratio"]).abs().max() < 0.0011
    assert len(cells[cells["table"] == 9]) == 24 * 6
