"""The review as people use it: in a browser, by keys alone, two at once, and with a server that is killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from serving import inside, written

from leanet import cli
from leanet.cli import review
from leanet.detector.detector import Detector
from leanet.images import leaf
from leanet.review import application
from leanet.review.application import Review, Word, extend, name_of
from leanet.review.log import Log
from leanet.review.order import TURNS, place

pytestmark = pytest.mark.alone

PATIENCE = 120_000  # milliseconds for what takes a second, on a busy machine


@pytest.fixture(scope="module")
def detector(attending) -> Detector:
    return Detector.load(attending.root / "models/detector", "cpu")


def leaves(folder: Path, count: int, first: int = 0) -> None:
    """Leaves whose names say what they are: every third is anomalous."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        drawn = leaf.draw(np.random.default_rng([9, i]), 64, anomalous=i % 3 == 0)
        Image.fromarray(drawn.image).save(folder / f"{i:03d} {('bad', 'good', 'good')[i % 3]}.png")


@pytest.fixture
def folder(tmp_path) -> Path:
    leaves(tmp_path / "new/day 1", 12)
    return tmp_path / "new"


@pytest.fixture
def address(folder, detector):
    review = Review(folder, detector, Log(folder / "labels.jsonl"))
    with inside(detector, extend=lambda app: extend(app, review)) as address:
        yield address


@pytest.fixture
def opened(browser):
    """Opens the review of a server; it must not err, nor ask anything of another server."""
    wrong = []

    def open_(address: str, who: str = "anna", **options):
        tab = browser.new_page(**({"viewport": {"width": 1200, "height": 900}} | options))
        tab.set_default_timeout(PATIENCE)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        allowed = (address, "data:", "blob:")
        tab.on("request", lambda asked: None if asked.url.startswith(allowed) else wrong.append(asked.url))
        tab.add_init_script(f"localStorage.setItem('leanet-who', {json.dumps(who)})")
        tab.goto(f"{address}/review")
        for text in ("#about", "#file"):  # what comes later moves what is below it
            tab.locator(text, has_text=re.compile("[^ ]")).wait_for()
        return tab

    yield open_
    assert wrong == []


def shown(tab) -> str:
    """The file that is shown."""
    return tab.locator("#file").inner_text().partition(", shown")[0]


def press(tab, key: str) -> str:
    """Press a key that leads to another image; the file that was shown before."""
    before = tab.locator("#file").inner_text()
    tab.keyboard.press(key)
    tab.wait_for_function("before => document.getElementById('file').textContent !== before", arg=before)
    return before.partition(", shown")[0]


def said(folder: Path) -> list[tuple[str, str, str | None]]:
    return [(each.who, each.file, each.label) for each in Log(folder / "labels.jsonl").read()]


def counted(tab, text: str) -> None:
    tab.locator("#counts", has_text=text).wait_for()


def test_sixty_images_by_keyboard_alone(folder, address, opened, monkeypatch):
    monkeypatch.setattr(application, "LEASE", 600)  # a busy machine may stand still for a minute
    leaves(folder / "day 2", 48, first=12)
    tab = opened(address)
    counted(tab, "of 60 images")
    for _ in range(60):
        press(tab, "a" if "bad" in shown(tab) else "n")
    tab.locator("#said", has_text="Nothing is left to label").wait_for()
    counted(tab, "60 of 60 images: 20 anomalous, 40 normal")
    words = said(folder)
    assert len({file for _, file, _ in words}) == len(words) == 60
    assert all((label == "anomalous") == ("bad" in file) and who == "anna" for who, file, label in words)
    whys = [each.why for each in Log(folder / "labels.jsonl").read()]
    assert {why: whys.count(why) for why in set(whys)} == {"random": 15, "uncertain": 30, "unlike": 15}
    assert "Of 60 images that chance chose, 20 anomalous: recall" in tab.locator("#curve").inner_text()
    # What comes later comes by itself.
    leaves(folder / "day 3", 1, first=60)
    tab.locator("#file", has_text="day 3/060 bad.png, shown").wait_for()
    assert press(tab, "u") == "day 3/060 bad.png"
    counted(tab, "61 of 61 images: 20 anomalous, 40 normal, 1 unsure")


def test_undo_takes_back_the_last_word_and_shows_the_image_again(folder, address, opened):
    tab = opened(address)
    first, second = press(tab, "n"), press(tab, "o")
    assert press(tab, "z")
    assert shown(tab) == second
    assert press(tab, "z")
    assert shown(tab) == first
    press(tab, "a")
    assert said(folder) == [
        ("anna", first, "normal"),
        ("anna", second, "other"),
        ("anna", second, None),
        ("anna", first, None),
        ("anna", first, "anomalous"),
    ]
    counted(tab, "1 of 12 images: 1 anomalous, 0 normal")
    # And any that was said before, by a click.
    tab.locator("#words button").click()
    tab.locator("#file", has_text="since you chose it").wait_for()
    press(tab, "n")
    counted(tab, "1 of 12 images: 0 anomalous, 1 normal")


def test_the_place_is_outlined_or_boxed(folder, address, opened):
    tab = opened(address)
    frame = tab.locator("#drawn").bounding_box()

    def drag(*places: tuple[float, float]) -> None:
        for at, (x, y) in enumerate(places):
            tab.mouse.move(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])
            if not at:
                tab.mouse.down()
        tab.mouse.up()

    tab.keyboard.press("b")
    drag((0.1, 0.1), (0.4, 0.1), (0.4, 0.3), (0.1, 0.3))
    tab.keyboard.press("x")
    drag((0.5, 0.5), (0.8, 0.9))
    press(tab, "a")
    (word,) = Log(folder / "labels.jsonl").read()
    outline, box = word.place
    np.testing.assert_allclose(outline, [(0.1, 0.1), (0.4, 0.1), (0.4, 0.3), (0.1, 0.3)], atol=0.01)
    np.testing.assert_allclose(box, [(0.5, 0.5), (0.8, 0.5), (0.8, 0.9), (0.5, 0.9)], atol=0.01)
    # Erased, it is none; and what is normal has no place.
    drag((0.1, 0.1), (0.4, 0.4))
    tab.locator("#erase").click()
    press(tab, "a")
    drag((0.1, 0.1), (0.4, 0.4))
    press(tab, "n")
    assert [each.place for each in Log(folder / "labels.jsonl").read()][1:] == [None, None]


def test_two_see_what_the_other_says_and_never_the_same_image(folder, address, opened):
    anna, bo = opened(address), opened(address, "bo")
    seen = {"anna": [], "bo": []}
    for _ in range(5):
        assert shown(anna) != shown(bo)
        seen["anna"].append(press(anna, "n"))
        seen["bo"].append(press(bo, "a"))
    assert not set(seen["anna"]) & set(seen["bo"])
    for tab, other in ((anna, "bo"), (bo, "anna")):
        counted(tab, "10 of 12 images: 5 anomalous, 5 normal")
        tab.locator("#others", has_text=f"with {other}").wait_for()
        assert f"{seen[other][0]} " in tab.locator("#words").inner_text()
    # Who contradicts is heard, and so is that they differ.
    anna.locator("#words button", has_text=seen["bo"][2]).click()
    anna.locator("#file", has_text="since you chose it").wait_for()
    press(anna, "n")
    for tab in (anna, bo):
        counted(tab, "10 of 12 images: 4 anomalous, 5 normal, 1 disputed")
        assert [line.split()[-2:] for line in tab.locator("#words li", has_text="disputed").all_inner_texts()] == [
            ["anna", "disputed"],
            ["bo", "disputed"],
        ]


def test_a_phone_has_all_of_it(address, opened):
    tab = opened(address, viewport={"width": 390, "height": 844}, has_touch=True)
    before = shown(tab)
    tab.locator("#labels button", has_text="Anomalous").tap()
    tab.wait_for_function("before => !document.getElementById('file').textContent.startsWith(before)", arg=before)
    counted(tab, "1 of 12 images: 1 anomalous")
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def started(folder: Path, detector: Path, port: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "leanet", "review", folder, "--detector", detector, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline().strip().endswith("/review")
    return server


def test_a_server_that_is_killed_in_the_middle_loses_no_label(folder, attending, opened):
    at = attending.root / "models/detector"
    server = started(folder, at, 8093)
    tab = opened("http://127.0.0.1:8093")
    labelled = [press(tab, "n") for _ in range(4)]
    server.send_signal(signal.SIGKILL)
    server.wait()
    tab.keyboard.press("n")
    tab.locator("#wrong", has_text="The server does not answer").wait_for()
    waiting = shown(tab)  # it is shown until its label is on the disk
    assert [file for _, file, _ in said(folder)] == labelled
    server = started(folder, at, 8093)
    try:
        tab.wait_for_function("() => document.getElementById('wrong').textContent === ''")
        assert press(tab, "n") == waiting
        counted(tab, "5 of 12 images")
        assert [file for _, file, _ in said(folder)] == [*labelled, waiting]
    finally:
        server.kill()
        server.wait()


def test_a_full_disk_is_said_and_the_image_stays(folder, address, opened, monkeypatch):
    tab = opened(address)
    before = shown(tab)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        tab.keyboard.press("n")
        tab.locator("#wrong", has_text="not written (No space left on device)").wait_for()
    assert (shown(tab), said(folder)) == (before, [])
    press(tab, "n")
    assert [file for _, file, _ in said(folder)] == [before]


def ask(address: str, path: str, **options) -> requests.Response:
    return requests.get(f"{address}/api/review{path}", timeout=60, **options)


def test_the_api_shows_no_other_file_and_takes_no_other_word(folder, address, detector):
    while ask(address, "").json()["images"] < 12:
        threading.Event().wait(0.05)
    (first, *others) = ask(address, "/next", params={"who": "anna", "count": 3}).json()
    assert len(others) == 2
    assert first["why"] == "random"
    assert ask(address, f"/images/{first['image']}").json()["score"] == pytest.approx(first["score"], abs=1e-6)
    for image in ("0" * 64, "..%2f..%2fetc%2fpasswd", "day 1%2f000 bad.png"):
        assert ask(address, f"/images/{image}").status_code == 404
    word = {"image": first["image"], "who": "anna", "label": "normal"}

    def say(**other) -> int:
        return requests.post(f"{address}/api/review/labels", json=word | other, timeout=60).status_code

    assert say(image="0" * 64) == 404
    for wrong in (
        {"label": "maybe"},
        {"who": ""},
        {"who": "a\nb"},
        {"who": "a" * 61},
        {"place": [[[0, 0], [2, 0], [0, 1]]]},
    ):
        assert say(**wrong) == 422
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert (
        requests.post(f"{address}/api/review/labels", json=word, headers=elsewhere, timeout=60).status_code == 403
    )
    assert said(folder) == []
    assert say() == 204
    (written_,) = Log(folder / "labels.jsonl").read()
    assert (written_.detector, written_.threshold) == (name_of(detector), round(detector.threshold.value, 6))
    # A file that changed is another image.
    (folder / first["file"]).write_bytes(written(np.zeros((64, 64, 3), np.uint8)))
    assert ask(address, f"/images/{first['image']}").status_code == 404


def test_what_is_no_image_is_counted_and_the_rest_is_there(folder, detector):
    (folder / "broken.png").write_bytes(b"none")
    (folder / "note.txt").write_text("none")
    shutil.copy(folder / "day 1/000 bad.png", folder / "again.png")
    review = Review(folder, detector, Log(folder / "labels.jsonl"))
    while len(review.looked.seen) < 12 or not review.looked.faults:
        threading.Event().wait(0.05)
    state = review.state(0)
    assert (state.images, list(state.faults)) == (12, ["broken.png"])


def test_an_image_goes_to_somebody_else_after_a_while(folder, detector, monkeypatch):
    review = Review(folder, detector, Log(folder / "labels.jsonl"))
    while len(review.looked.seen) < 12:
        threading.Event().wait(0.05)
    mine = [each.image for each in review.following("anna", 3)]
    assert [each.image for each in review.following("anna", 3)] == mine
    assert not {each.image for each in review.following("bo", 3)} & set(mine)
    now = application.monotonic()
    monkeypatch.setattr(application, "monotonic", lambda: now + application.LEASE + 1)
    assert [each.image for each in review.following("cleo", 3)] == mine


def test_what_was_handed_out_stays_so_while_the_folder_grows(folder, detector, monkeypatch):
    monkeypatch.setattr(application, "LEASE", 600)
    review = Review(folder, detector, Log(folder / "labels.jsonl"))
    while len(review.looked.seen) < 12:
        threading.Event().wait(0.05)
    first, *ahead = review.following("anna", 3)
    leaves(folder / "day 2", 48, first=12)
    review.looked.look()
    review.add(Word(image=first.image, who="anna", label="normal", why=first.why))
    assert review.following("anna", 3)[:2] == ahead
    for _ in range(59):
        shown = review.following("anna", 3)[0]
        review.add(Word(image=shown.image, who="anna", label="normal", why=shown.why))
    assert [each.why for each in Log(folder / "labels.jsonl").read()] == [*TURNS] * 15


def test_suspects_come_in_their_order_with_the_label_they_have(folder, detector, opened):
    suspects = {"day 1/004 good.png": "anomalous", "day 1/000 bad.png": "normal", "day 1/gone.png": "normal"}
    review = Review(folder, detector, Log(folder / "labels.jsonl"), suspects, suspected=True)
    with inside(detector, extend=lambda app: extend(app, review)) as address:
        tab = opened(address)
        assert (
            "because its label may be wrong; the data set has it as anomalous" in tab.locator("#file").inner_text()
        )
        assert [press(tab, "n"), press(tab, "a")] == list(suspects)[:2]
        tab.locator("#said", has_text="Nothing is left to label").wait_for()
        counted(tab, "2 of 2 images")
    assert {each.why for each in Log(folder / "labels.jsonl").read()} == {"suspect"}
    assert review.state(0).curve == []


def test_a_data_set_is_looked_through_with_its_labels_and_without_its_masks(tiny, folder, detector, opened):
    (folder / "masks").mkdir()
    Image.new("L", (64, 64), 255).save(folder / "masks/0.png")
    lines = [
        f"day 1/{i:03d} {('bad', 'good', 'good')[i % 3]}.png,{'anomalous' if i % 3 == 0 else 'normal'}"
        for i in range(8)
    ]
    table = ["path,label,mask", f"{lines[0]},masks/0.png", *(f"{line}," for line in lines[1:])]
    (folder / "images.csv").write_text("\n".join(table) + "\n")
    assert review._own(folder) is None
    tiny.edit("datasets.leaf.source", str(folder))
    own = review._own(tiny.root / folder)
    assert [f"{path},{label}" for path, label in own.items()] == lines
    reviewed = Review(folder, detector, Log(folder / "labels.jsonl"), own)
    with inside(detector, extend=lambda app: extend(app, reviewed)) as address:
        tab = opened(address)
        counted(tab, "0 of 8 images")
        assert f"the data set has it as {own[shown(tab)]}" in tab.locator("#file").inner_text()
        press(tab, "n")
        counted(tab, "1 of 8 images")
        assert (
            tab.locator("#curve").inner_text() == "Nothing can be said: the detector has learnt from these images."
        )


def test_an_estimate_of_an_earlier_detector_says_so(folder, detector, opened):
    reviewed = Review(folder, detector, Log(folder / "labels.jsonl"))
    while len(reviewed.looked.seen) < 12:
        threading.Event().wait(0.05)
    with inside(detector, extend=lambda app: extend(app, reviewed)) as address:
        tab = opened(address)
        for name, end in ((reviewed.name, "]."), ("an earlier one", "All this is of a detector before this one.")):
            reviewed.name = name
            for image in sorted(reviewed.looked.seen, key=place)[:6]:
                reviewed.add(Word(image=image, who="bo", label="normal"))
            reviewed.name = name_of(detector)
            tab.locator("#curve", has_text="Of 6 images that chance chose, 0 anomalous").wait_for()
            tab.wait_for_function("end => document.getElementById('curve').textContent.endsWith(end)", arg=end)


def test_who_shares_the_page_with_others_gives_a_name(folder, address, browser):
    """From another machine, which a browser's own proxy plays."""

    def forward(route) -> None:
        headers = route.request.headers | {"origin": address}
        route.fulfill(
            response=route.fetch(url=route.request.url.replace("http://shared.test", address), headers=headers)
        )

    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.route("http://shared.test/**", forward)
    tab.goto("http://shared.test/review")
    tab.locator("#wrong", has_text="Give your name at the head of the page.").wait_for()
    assert (shown(tab), tab.get_by_label("Your name").input_value()) == ("", "")
    tab.get_by_label("Your name").fill("bo")
    tab.keyboard.press("Enter")
    tab.locator("#file", has_text="shown").wait_for()
    assert tab.locator("#wrong").inner_text() == ""
    file = press(tab, "n")
    assert said(folder) == [("bo", file, "normal")]


def test_the_command_says_what_is_wrong(tiny, folder, monkeypatch):
    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["leanet", "review", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code

    assert "expected a folder of new images, or --suspects DATASET" in run()
    assert "expected a folder of new images, or --suspects DATASET" in run(folder, "--suspects", "leaf")
    assert "expected a folder of images" in run(folder / "day 1/000 bad.png")
    assert "expected one of leaf" in run("--suspects", "wood")
    assert "expected a folder of your own" in run("--suspects", "leaf")
    tiny.edit("datasets.leaf.source", str(folder))
    assert "the report suspects no label, or is not made yet" in run("--suspects", "leaf")
    (folder / "labels.jsonl").write_text("[1]\n")
    assert "line 1 is no line of a review" in run(folder)
