"""The page of `leanet serve` in a real browser: many images at a time."""

import base64
import csv
import io
import json
import re
import threading
import zipfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import serving
from PIL import Image
from serving import leaf, written

from leanet.images.reading import SUFFIXES
from leanet.service import answer

pytestmark = pytest.mark.alone

PATIENCE = 120_000  # milliseconds for what takes a second, on a busy machine
DROP = """files => {
    const all = new DataTransfer();
    for (const [name, bytes] of files)
        all.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
    document.dispatchEvent(new DragEvent("drop", {dataTransfer: all, bubbles: true, cancelable: true}));
}"""


@pytest.fixture
def opened(browser):
    """Opens the page of a server; it must not err, nor ask anything of another server."""
    wrong = []

    def open_(address: str, **options):
        tab = browser.new_page(**({"viewport": {"width": 1200, "height": 900}} | options))
        tab.set_default_timeout(PATIENCE)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        allowed = (address, "data:", "blob:")
        tab.on("request", lambda asked: None if asked.url.startswith(allowed) else wrong.append(asked.url))
        tab.goto(address)
        return tab

    yield open_
    assert wrong == []


@pytest.fixture
def tab(opened, address):
    return opened(address)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("files")
    for seed in range(3):
        Image.fromarray(leaf(seed, side=64)).resize((300, 200)).save(folder / f"leaf{seed}.png")
    return [str(folder / f"leaf{seed}.png") for seed in range(3)]


def done(tab, judged: int, unreadable: int = 0) -> None:
    """Wait until the queue is empty, and the page counts so many judged images, and so many of them unreadable."""
    tab.wait_for_function(
        r"""([judged, unreadable]) => {
            const text = document.querySelector("#counts").textContent;
            const counts = text.match(/^(\d+) anomalous, (\d+) normal, (\d+) unreadable$/)?.slice(1).map(Number);
            return counts?.reduce((sum, count) => sum + count) === judged && counts.at(-1) === unreadable;
        }""",
        arg=[judged, unreadable],
    )
    tab.locator("#queue").wait_for(state="hidden")


def column(tab, number: int) -> list[str]:
    return tab.locator(f"#rows td:nth-child({number})").all_inner_texts()


def saved(tab, button: str, **options) -> Path:
    with tab.expect_download() as given:
        tab.get_by_role("button", name=button, **options).click()
    return Path(given.value.path())


@pytest.fixture(scope="module")
def many() -> list[tuple[str, bytes]]:
    """200 files, names and contents; every fortieth is broken."""
    found = [(f"leaf{number}.png", written(leaf(number))) for number in range(200)]
    for number in range(0, 200, 40):
        found[number] = (f"broken{number}.png", found[number][1][: 100 + number])
    return found


def test_two_hundred_images_at_once(tab, many, detector):
    tab.evaluate(DROP, [[name, base64.b64encode(content).decode()] for name, content in many])
    done(tab, 200, unreadable=5)
    good = [(name, content) for name, content in many if name.startswith("leaf")]
    judged = detector.predict([content for _, content in good])
    scores = dict(zip((name for name, _ in good), judged.scores, strict=True))
    anomalous = int(judged.labels.sum())
    assert tab.locator("#counts").inner_text() == f"{anomalous} anomalous, {195 - anomalous} normal, 5 unreadable"
    assert "Done: " in tab.locator("#done").inner_text()

    with saved(tab, "Download CSV").open(newline="") as text:
        table = list(csv.DictReader(text))
    assert [row["file"] for row in table] == [name for name, _ in many]
    for row in table:
        if row["file"] in scores:
            assert float(row["score"]) == pytest.approx(scores[row["file"]], abs=1e-4)
            assert row["anomalous"] == str(float(row["score"]) > detector.threshold.value).lower()
            assert float(row["threshold"]) == detector.threshold.value
            assert float(row["map_p99"]) > 0
        else:
            assert "damaged or cut off" in row["error"] or "no JPEG" in row["error"]
            assert row["score"] == row["anomalous"] == ""

    head = tab.locator("th[aria-sort]")
    assert (head.inner_text().split()[0], head.get_attribute("aria-sort")) == ("Score", "descending")
    first = column(tab, 4)
    assert len(first) == 100  # of a table in pages
    tab.get_by_role("button", name="Later").click()
    shown = [float(text.removesuffix(" %")) for text in first + column(tab, 4) if text != "–"]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == 195
    assert all("damaged" in text or "no JPEG" in text for text in column(tab, 3)[-5:])  # the unreadable come last
    tab.get_by_role("button", name="File", exact=True).click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(tab, 3)[5:9] == ["leaf1.png", "leaf2.png", "leaf3.png", "leaf4.png"]
    tab.get_by_role("button", name="File", exact=True).click()
    assert column(tab, 3)[0] == "leaf199.png"
    tab.get_by_role("button", name="Unreadable 5").click()
    assert column(tab, 5) == ["unreadable"] * 5
    assert tab.get_by_role("button", name="Download overlays").is_disabled()


def test_an_image_is_looked_at_large(tab, files, detector):
    tab.locator("#files").set_input_files(files)
    done(tab, 3)
    scores = dict(zip((Path(file).name for file in files), detector.predict(files).scores, strict=True))
    ranked = sorted(scores, key=scores.get, reverse=True)
    assert column(tab, 3) == ranked
    tab.get_by_role("button", name=ranked[0]).click()
    view = tab.get_by_role("dialog", name=ranked[0])
    view.get_by_text("Download result").wait_for()
    assert f"{100 * scores[ranked[0]]:.1f} %" in view.locator(".verdict").inner_text()
    heat, base = view.locator(".stack img").nth(1), view.locator(".stack img").first
    assert heat.bounding_box() == base.bounding_box()
    assert view.get_by_alt_text("original").bounding_box()["x"] > base.bounding_box()["x"]
    before = heat.get_attribute("src")
    view.get_by_label("Strength").fill("25")
    assert heat.evaluate("image => getComputedStyle(image).opacity") == "0.25"
    view.get_by_label("Show").select_option("attention")
    assert heat.get_attribute("src") != before
    assert view.locator(".strip img").count() == 2 * answer.NEIGHBOURS
    result = json.loads(saved(tab, "Download result").read_text())
    assert result["score"] == pytest.approx(scores[ranked[0]], abs=1e-5)
    assert Image.open(saved(tab, "Download overlay", exact=True)).size == (300, 200)
    tab.get_by_role("button", name="Next").click()
    tab.get_by_role("dialog", name=ranked[1]).get_by_text("Download result").wait_for()
    view = tab.get_by_role("dialog")
    assert view.get_by_label("Show").input_value() == "attention"  # is kept from image to image
    assert view.get_by_label("Strength").input_value() == "25"


def test_the_overlays_are_an_archive(tab, files, tmp_path):
    odd = tmp_path / "Blätter"
    odd.mkdir()
    for at, file in enumerate(files):
        (odd / f"leaf{at}.png").write_bytes(Path(file).read_bytes())
    (odd / "notes.png").write_text("hello")
    tab.locator("#files").set_input_files(files)
    tab.locator("#folder").set_input_files(str(odd))
    tab.locator("#files").set_input_files(files[:1])  # once more
    done(tab, 8, unreadable=1)
    with zipfile.ZipFile(saved(tab, "Download overlays")) as archive:
        assert archive.testzip() is None
        pairs = [(name, kind) for name in ("leaf0.png", "leaf1.png", "leaf2.png") for kind in ("map", "attention")]
        expected = {f"{name}-{kind}.png" for name, kind in pairs}
        expected |= {f"Blätter/{name}" for name in expected}
        expected |= {"leaf0.png (2)-map.png", "leaf0.png (2)-attention.png"}
        assert set(archive.namelist()) == expected
        pictures = {name: Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()}
    assert {picture.size for picture in pictures.values()} == {(300, 200)}
    kinds = [np.asarray(pictures[f"leaf1.png-{kind}.png"]) for kind in ("map", "attention")]
    assert not np.array_equal(*kinds)
    tab.locator("#zipping").wait_for(state="hidden")


def test_names_that_a_spreadsheet_would_run_stay_text(tab):
    names = ["=1+1.png", "+a.png", "-a.png", "@a.png", 'a "b", c.png']
    tab.evaluate(DROP, [[name, ""] for name in names])
    done(tab, 5, unreadable=5)
    with saved(tab, "Download CSV").open(newline="") as text:
        assert [row["file"] for row in csv.DictReader(text)] == [f"'{name}" for name in names[:4]] + names[4:]


def test_of_a_folder_the_images_are_taken_with_those_below(tab, tmp_path):
    folder = tmp_path / "parts"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(written(leaf()))
    (folder / "sub/b.jpg").write_bytes(written(leaf(1), "JPEG"))
    for name in ("notes.txt", "sub/._b.jpg"):
        (folder / name).write_text("hello")
    tab.locator("#folder").set_input_files(str(folder))
    done(tab, 2)
    assert sorted(column(tab, 3)) == ["parts/a.png", "parts/sub/b.jpg"]
    assert tab.locator("#notice").inner_text() == "2 images found; 2 other files were left out."
    assert tab.evaluate("names => names.every((name) => IMAGE.test(name))", [f"a{one}" for one in SUFFIXES])


def test_folders_are_dropped_with_all_below_them(tab):
    """A test cannot drop a real folder: what the browser gives for one is played here, as its standard has it."""
    image = list(written(leaf()))
    tab.evaluate(
        """bytes => {
            const fresh = (name) => new File([new Uint8Array(bytes)], name);
            const file = (path) => ({isDirectory: false, fullPath: path,
                file: (give) => give(fresh(path.split("/").pop()))});
            const folder = (path, ...pieces) => ({isDirectory: true, fullPath: path,
                createReader: () => ({readEntries: (give) => give(pieces.shift() ?? [])})});
            const many = [...Array(100).keys()].map((i) => file(`/parts/${i}.png`));
            const below = folder("/parts/sub", [file("/parts/sub/a.png")]);
            const top = folder("/parts", many, [file("/parts/100.png"), below]);
            const items = [{kind: "file", webkitGetAsEntry: () => top},
                {kind: "file", webkitGetAsEntry: () => null, getAsFile: () => fresh("b.png")}];
            const event = new Event("drop", {bubbles: true, cancelable: true});
            document.dispatchEvent(Object.assign(event, {dataTransfer: {items}}));
        }""",
        image,
    )
    done(tab, 103)
    tab.get_by_role("button", name="All 103").wait_for()
    tab.get_by_role("button", name="File", exact=True).click()
    assert column(tab, 3)[:2] == ["b.png", "parts/0.png"]
    tab.get_by_role("button", name="Later").click()
    assert column(tab, 3) == ["parts/99.png", "parts/100.png", "parts/sub/a.png"]


def test_a_text_called_png_and_a_large_image_beside_it(tab, files, tmp_path):
    text, large, huge = (tmp_path / name for name in ("notes.png", "large.jpg", "huge.png"))
    text.write_text("hello")
    large.write_bytes(written(np.zeros((5000, 10_000, 3), np.uint8), "JPEG"))
    with huge.open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    tab.locator("#files").set_input_files([str(text), str(large), str(huge), files[0]])
    done(tab, 4, unreadable=2)
    said = " ".join(column(tab, 3))
    assert "no JPEG, PNG" in said
    assert "it has more than 64 MiB" in said
    tab.get_by_role("button", name="notes.png").click()
    assert "no JPEG, PNG" in tab.get_by_role("dialog").locator(".verdict").inner_text()


def focused(tab) -> str:
    return tab.evaluate("document.activeElement.textContent.trim() || document.activeElement.id")


def tab_to(tab, name: str) -> None:
    """Press Tab until what is called so has the focus."""
    for _ in range(40):
        tab.keyboard.press("Tab")
        if focused(tab).startswith(name):
            return
    raise AssertionError(f"Tab does not reach {name}")


def test_the_keyboard_alone_will_do(tab, files):
    tab.keyboard.press("Tab")
    with tab.expect_file_chooser() as chooser:
        assert focused(tab) == "files"
        # What the browser answers comes after its promise to hand the dialog to the test.
        tab.keyboard.press("Enter")
    chooser.value.set_files(files)
    done(tab, 3)
    tab_to(tab, "File")
    tab.keyboard.press("Enter")
    assert column(tab, 3) == ["leaf0.png", "leaf1.png", "leaf2.png"]
    assert focused(tab) == "File"
    tab_to(tab, "leaf0.png")
    tab.keyboard.press("Enter")
    tab.get_by_role("dialog", name="leaf0.png").wait_for()
    tab.keyboard.press("ArrowRight")
    tab.get_by_role("dialog", name="leaf1.png").get_by_text("Download result").wait_for()
    tab_to(tab, "Next")
    tab.keyboard.press("Enter")
    tab.get_by_role("dialog", name="leaf2.png").get_by_text("Download result").wait_for()
    assert tab.get_by_role("button", name="Next").is_disabled()  # and the focus is elsewhere
    tab.keyboard.press("ArrowLeft")
    tab.get_by_role("dialog", name="leaf1.png").get_by_text("Download result").wait_for()
    while tab.evaluate("document.activeElement.type") != "range":
        tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowLeft")  # at the slider
    assert tab.get_by_label("Strength").input_value() == "99"
    tab.keyboard.press("Escape")
    tab.get_by_role("dialog").wait_for(state="hidden")
    tab.locator("button:focus", has_text="leaf1.png").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(opened, address, files, scheme):
    tab = opened(address, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    tab.locator("#files").set_input_files(files)
    done(tab, 3)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.locator("table").bounding_box()["width"] <= 360
    tab.get_by_role("button", name="leaf1.png").click()
    view = tab.get_by_role("dialog")
    view.get_by_text("Download result").wait_for()
    assert view.evaluate("view => view.scrollWidth <= view.clientWidth")
    assert view.locator(".verdict").evaluate("one => getComputedStyle(one).color") == (
        "rgb(28, 31, 36)" if scheme == "light" else "rgb(230, 232, 235)"
    )


def test_a_server_that_goes_away_costs_no_image(opened, detector, many, tmp_path, monkeypatch):
    images = [tmp_path / name for name, _ in many]
    for file, (_, content) in zip(images, many, strict=True):
        file.write_bytes(content)
    gate, answers = threading.Semaphore(2), answer.answers

    def gated(*given):
        gate.acquire()
        return answers(*given)

    monkeypatch.setattr(answer, "answers", gated)
    with ExitStack() as first:
        address = first.enter_context(serving.inside(detector))
        tab = opened(address)
        tab.locator("#files").set_input_files(images)
        tab.get_by_text("32 of 200").wait_for()  # two requests; the next waits at the gate
        gate.release(1000)
    tab.locator("#wrong", has_text="The server does not answer. Images that wait: ").wait_for()
    judged = int(tab.locator("#progress").inner_text().split()[0])
    assert 32 <= judged < 200
    with serving.inside(detector, port=int(address.rpartition(":")[2])):
        tab.get_by_role("button", name="Go on").click()
        done(tab, 200, unreadable=5)
        tab.get_by_role("button", name="All 200").wait_for()
        assert tab.locator("#wrong").inner_text() == ""


def test_stop_and_go_on(opened, detector, files, monkeypatch):
    gate, answers = threading.Event(), answer.answers
    monkeypatch.setattr(answer, "answers", lambda *given: (gate.wait(), answers(*given))[1])
    with serving.inside(detector) as address:
        tab = opened(address)
        tab.locator("#files").set_input_files(files)
        tab.get_by_role("button", name="Stop").click()
        gate.set()
        tab.get_by_role("button", name="Go on").wait_for()
        assert tab.locator("#progress").inner_text() == "0 of 3"
        tab.get_by_role("button", name="Go on").click()
        done(tab, 3)
        tab.get_by_role("button", name="Clear").click()
        tab.locator("#results").wait_for(state="hidden")


def test_the_camera_is_judged_frame_by_frame(address):
    """Chromium plays a film in place of a camera, in a browser of its own."""
    from conftest import chromium

    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as browser:
        tab = browser.new_page()
        tab.set_default_timeout(PATIENCE)
        wrong = []
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.goto(address)
        tab.get_by_role("button", name="Use the camera").click()
        tab.get_by_role("button", name="Take").click()
        tab.locator("#seen", has_text=re.compile(r"^(Anomalous|Normal): \d+\.\d %$")).wait_for()
        tab.get_by_role("button", name="All 1").wait_for()
        tab.get_by_role("button", name="Watch").click()
        tab.get_by_role("button", name=re.compile(r"All [3-9]")).wait_for()
        track = tab.evaluate_handle("stream.getTracks()[0]")
        tab.get_by_role("button", name="Close the camera").click()
        assert track.evaluate("track => track.readyState") == "ended"
        assert tab.locator("#video").is_hidden()
        tab.locator("#queue").wait_for(state="hidden")
        assert column(tab, 3)[0].startswith("camera 20")
        assert wrong == []
