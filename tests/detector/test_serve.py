"""The detector as a page and an API, in a real browser and under what the world sends."""

import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import requests
import servers
import uvicorn
from PIL import Image

from leanet import Detector
from leanet.core import paths
from leanet.detector import service

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def detector(attending) -> Detector:
    return Detector.load(attending.root / paths.DETECTOR, "cpu")


@pytest.fixture(scope="module")
def served(attending, tmp_path_factory):
    """The server of `python -m leanet serve`: its address and process."""
    with servers.detector(attending.root, tmp_path_factory.mktemp("serve") / "log") as (address, process):
        yield address, process


@pytest.fixture(scope="module")
def address(served) -> str:
    return served[0]


@pytest.fixture
def inside(detector, monkeypatch):
    """Starts the application in this process, for tests that change its limits; its address."""
    running = []

    def start(**options) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(service.application(detector, **options), http=service.Prompt, log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.started:
            time.sleep(0.02)
        return "http://{}:{}".format(*listener.getsockname())

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


def written(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def leaf(seed: int = 0, side: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def sent(address: str, content: bytes, **options) -> requests.Response:
    return requests.post(f"{address}/api/predict", data=content, timeout=60, **options)


def raw(address: str, head: str, body: bytes = b"", wait: float = 5) -> bytes:
    """What a server says to bytes on a socket; empty where it closes without a word."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=wait) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + body)
        said = b""
        while piece := connection.recv(65536):
            said += piece
            if b"}" in said:
                break
        return said


def test_the_api_says_what_the_detector_says(address, detector):
    answer = sent(address, written(leaf())).json()
    judged = detector.predict([leaf()])
    assert answer["score"] == pytest.approx(judged.scores[0], abs=1e-5)
    assert answer["anomalous"] == judged.labels[0]
    assert answer["layers"].keys() == {"map", "attention"}
    assert len(answer["normal"]) == len(answer["anomalous_like"]) == service.NEIGHBOURS
    about = requests.get(f"{address}/api/detector", timeout=10).json()
    assert about["threshold"] == detector.threshold.value
    paths_ = requests.get(f"{address}/openapi.json", timeout=10).json()["paths"]
    assert paths_.keys() == {"/api/detector", "/api/predict"}
    body = paths_["/api/predict"]["post"]["requestBody"]["content"]
    assert set(service.REFUSALS) < set(map(int, paths_["/api/predict"]["post"]["responses"]))
    assert body == {"image/*": {"schema": {"type": "string", "format": "binary"}}}


def test_the_nearest_image_of_a_training_image_is_itself(address, detector):
    known = detector.known
    for at in (0, len(known["gallery"]) - 1):
        place = known["gallery"][at]
        answer = sent(address, written(known["thumbnails"][at])).json()
        found = answer["anomalous_like" if known["labels"][place] else "normal"][0]
        assert found["path"] == detector.facts["images"][place]
        assert found["likeness"] == pytest.approx(1, abs=0.01)


BAD = {
    "a text": (b"hello", 415, "no JPEG, PNG"),
    "nothing": (b"", 400, "send its bytes as the body"),
    "a cut image": (written(leaf())[:300], 415, "damaged or cut off"),
    "a hundred megapixels and more": (written(np.zeros((10_001, 10_000), np.uint8)), 415, "100,000,000 pixels"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_image_is_one_sentence(address, what):
    content, status, said = BAD[what]
    answer = sent(address, content)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert sent(address, written(leaf())).ok


def test_fifty_megapixels_are_judged(address):
    assert sent(address, written(np.zeros((5000, 10_000, 3), np.uint8), "JPEG")).json()["score"] >= 0


def test_what_is_too_large_is_refused_before_it_came(address):
    head = f"POST /api/predict HTTP/1.1\nHost: localhost\nContent-Length: {service.MAX_BYTES + 1}\n\n"
    assert b"413" in raw(address, head).split(b"\r\n")[0]
    chunk = b"%x\r\n" % (service.MAX_BYTES + 1) + bytes(service.MAX_BYTES + 1)
    chunked = "POST /api/predict HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\n"
    with suppress(ConnectionError):  # closed while it was still being sent
        assert b"413" in raw(address, chunked, chunk, wait=30).split(b"\r\n")[0]
    assert sent(address, written(leaf())).ok


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/api/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/../params.yaml"],
)
def test_no_file_can_be_reached(address, path):
    said = raw(address, f"GET {path} HTTP/1.1\nHost: localhost\n\n")
    assert said.split(b"\r\n")[0].split()[1] in (b"404", b"400")
    assert b"root:" not in said


def test_what_is_no_http_or_for_another_host_is_refused(address):
    assert b"400" in raw(address, "hello\n\n").split(b"\r\n")[0]
    there = requests.get(f"{address}/api/detector", headers={"Host": "evil.example"}, timeout=10)
    assert there.status_code == 400
    assert requests.put(f"{address}/api/predict", timeout=10).status_code == 405
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as cut:  # the body never comes
        cut.sendall(b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nPNG")
    assert sent(address, written(leaf())).ok


def test_who_sends_slowly_is_cut_off(inside, monkeypatch):
    monkeypatch.setattr(service, "ARRIVAL", 1)
    address = inside()
    began = time.monotonic()
    assert raw(address, "GET / HTTP/1.1\nHost: local") == b""  # a head without an end
    assert raw(address, "") == b""  # no head at all
    head = "POST /api/predict HTTP/1.1\nHost: localhost\nContent-Length: 1000\n\n"
    assert b"408" in raw(address, head, b"PNG").split(b"\r\n")[0]
    assert 3 <= time.monotonic() - began < 30
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as second:  # a whole request, then half of one
        second.sendall(b"GET /api/detector HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in second.recv(65536)
        second.sendall(b"GET /api")
        while second.recv(65536):
            pass
    assert sent(address, written(leaf())).ok


def test_elsewhere_only_the_token_opens(inside):
    address = inside(token="secret")
    assert requests.get(address, timeout=10).ok  # the page says nothing of the detector
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
        for answer in (
            requests.get(f"{address}/api/detector", headers=headers, timeout=10),
            sent(address, written(leaf()), headers=headers),
        ):
            assert (answer.status_code, "token" in answer.json()["detail"]) == (401, True)
    assert sent(address, written(leaf()), headers={"Authorization": "Bearer secret"}).ok


def test_who_comes_when_too_many_wait_is_told_to_come_back(inside, monkeypatch):
    monkeypatch.setattr(service, "MAX_WAITING", 2)
    go_on = threading.Event()
    answer = service.answer
    monkeypatch.setattr(service, "answer", lambda *given: (go_on.wait(20), answer(*given))[1])
    address = inside()
    with ThreadPoolExecutor(2) as pool:
        first = [pool.submit(sent, address, written(leaf())) for _ in range(2)]
        time.sleep(0.5)
        refused = sent(address, written(leaf()))
        go_on.set()
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        assert all(each.result().ok for each in first)


@pytest.mark.parametrize("place", ["taken", "70000", "nowhere.invalid"])
def test_where_it_cannot_listen_is_one_line(attending, address, place):
    port = {"taken": address.rpartition(":")[2]}.get(place, place)
    where = ["--host", place] if "." in place else ["--port", port]
    done = attending.run("python", "-m", "leanet", "serve", *where)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "--host and --port name another place" in done.stderr


def resident(process: int) -> int:
    """MiB of memory that a process holds."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def test_two_hundred_requests_sixteen_at_once(served):
    address, process = served
    images = [written(leaf(seed)) for seed in range(20)]

    def ask(number: int) -> tuple[int, float]:
        answer = sent(address, images[number % 20])
        return answer.status_code, answer.json()["score"]

    with ThreadPoolExecutor(16) as pool:
        first = list(pool.map(ask, range(100)))
        before = resident(process)
        rest = list(pool.map(ask, range(100, 200)))
    assert {status for status, _ in first + rest} == {200}
    by_image = [score for _, score in first + rest]
    assert all(by_image[i] == pytest.approx(by_image[i % 20], abs=1e-6) for i in range(200))
    assert resident(process) < before + 50


@pytest.fixture
def tab(browser, address):
    """The page; it must not err, nor ask anything of another server."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    wrong = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda r: wrong.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else None)
    tab.goto(address)
    yield tab
    assert wrong == []


@pytest.fixture
def files(tmp_path) -> list[str]:
    for seed in range(3):
        Image.fromarray(leaf(seed, side=64)).resize((300, 200)).save(tmp_path / f"leaf{seed}.png")
    return [str(tmp_path / f"leaf{seed}.png") for seed in range(3)]


def test_images_are_dropped_judged_and_looked_at(tab, files, detector, tmp_path):
    drop = """(names) => {
        const all = new DataTransfer();
        for (const [name, bytes] of names) all.items.add(new File([new Uint8Array(bytes)], name));
        document.dispatchEvent(new DragEvent("drop", {dataTransfer: all, bubbles: true, cancelable: true}));
    }"""
    tab.evaluate(drop, [[Path(file).name, list(Path(file).read_bytes())] for file in files])
    tab.get_by_text("3 judged").wait_for()
    cards = tab.locator("article")
    assert cards.locator("h2").all_inner_texts() == ["leaf2.png", "leaf1.png", "leaf0.png"]  # the last on top
    scores = detector.predict(files).scores
    for card, score in zip(cards.all(), scores[::-1], strict=True):
        assert f"{100 * score:.1f} %" in card.locator(".verdict").inner_text()
    card = cards.first
    heat = card.locator(".stack img").nth(1)
    before = heat.get_attribute("src")
    assert heat.bounding_box() == card.locator(".stack img").first.bounding_box()
    card.get_by_label("Strength").fill("25")
    assert heat.evaluate("image => getComputedStyle(image).opacity") == "0.25"
    card.get_by_label("Show").select_option("attention")
    assert heat.get_attribute("src") != before
    assert card.locator(".strip img").count() == 2 * service.NEIGHBOURS
    with tab.expect_download() as result:
        card.get_by_text("Download result").click()
    assert json.loads(Path(result.value.path()).read_text())["score"] == pytest.approx(scores[2], abs=1e-5)
    with tab.expect_download() as overlay:
        card.get_by_text("Download overlay").click()
    assert Image.open(overlay.value.path()).size == (300, 200)


def test_a_text_called_png_and_a_large_image_beside_it(tab, files, tmp_path):
    text, large = tmp_path / "notes.png", tmp_path / "large.jpg"
    text.write_text("hello")
    large.write_bytes(written(np.zeros((5000, 10_000, 3), np.uint8), "JPEG"))
    tab.locator("#files").set_input_files([str(text), str(large), files[0]])
    tab.get_by_text("3 judged").wait_for(timeout=60_000)
    assert "no JPEG, PNG" in tab.locator("article").nth(2).inner_text()
    assert tab.locator(".verdict").count() == 2


def test_the_keyboard_alone_will_do(tab, files):
    tab.keyboard.press("Tab")
    with tab.expect_file_chooser() as chooser:
        assert tab.evaluate("document.activeElement.id") == "files"
        # What the browser answers comes after its promise to hand the dialog to the test.
        tab.keyboard.press("Enter")
    chooser.value.set_files(files[:1])
    tab.get_by_text("1 judged").wait_for()
    for _ in range(2):
        tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowLeft")  # at the slider
    assert tab.get_by_label("Strength").input_value() == "99"


def test_the_page_fits_a_phone(tab, files):
    tab.set_viewport_size({"width": 360, "height": 740})
    tab.locator("#files").set_input_files(files)
    tab.get_by_text("3 judged").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
