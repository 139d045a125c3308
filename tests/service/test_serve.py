"""The detector as an API, under what the world sends."""

import base64
import io
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import requests
import servers
import serving
from PIL import Image
from serving import leaf, written

from leanet import Detector
from leanet.core import paths
from leanet.service import answer, application, limits
from leanet.service.arrival import Intake

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def detector(attending) -> Detector:
    return Detector.load(attending.root / paths.DETECTOR, "cpu")


@pytest.fixture(scope="module")
def served(attending, tmp_path_factory):
    """The server of `python -m leanet serve`: its address and the number of its process."""
    with servers.detector(attending.root, tmp_path_factory.mktemp("serve") / "log") as (address, process):
        yield address, process.pid


@pytest.fixture(scope="module")
def address(served) -> str:
    return served[0]


@pytest.fixture
def inside(detector):
    """Starts the application in this process, for tests that change its limits; its address."""
    with ExitStack() as running:
        yield lambda **options: running.enter_context(serving.inside(detector, **options))


def sent(address: str, content: bytes, **options) -> requests.Response:
    return requests.post(f"{address}/api/predict", data=content, timeout=60, **options)


def form(address: str, *files: tuple[str, bytes], pictures: str = "0") -> requests.Response:
    """The answer to files, of names and contents, sent together."""
    fields = [("image", file) for file in files]
    return requests.post(f"{address}/api/predict", files=fields, params={"pictures": pictures}, timeout=120)


def connected(address: str, head: str = "", body: bytes = b"", wait: float = 60) -> socket.socket:
    """A socket that these bytes have been sent by."""
    host, _, port = address.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=wait)
    connection.sendall(head.replace("\n", "\r\n").encode() + body)
    return connection


def raw(address: str, head: str, body: bytes = b"", wait: float = 5) -> bytes:
    """What a server says to bytes on a socket; empty where it closes without a word."""
    with connected(address, head, body, wait) as connection:
        said = b""
        while piece := connection.recv(65536):
            said += piece
            if b"}" in said:
                break
        return said


def upload(size: int, *headers: str) -> str:
    """The head of a request with an image of so many bytes."""
    return "\n".join(
        ["POST /api/predict HTTP/1.1", "Host: localhost", f"Content-Length: {size}", *headers, "", ""]
    )


def eventually(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_the_api_says_what_the_detector_says(address, detector):
    said = sent(address, written(leaf())).json()
    judged = detector.predict([leaf()])
    assert said["score"] == pytest.approx(judged.scores[0], abs=1e-5)
    assert said["anomalous"] == judged.labels[0]
    assert said["layers"].keys() == {"map", "attention"}
    assert len(said["normal"]) == len(said["anomalous_like"]) == answer.NEIGHBOURS
    about = requests.get(f"{address}/api/detector", timeout=10).json()
    assert about["threshold"] == detector.threshold.value
    paths_ = requests.get(f"{address}/openapi.json", timeout=10).json()["paths"]
    assert paths_.keys() == {"/api/detector", "/api/predict", "/health"}
    predict = paths_["/api/predict"]["post"]
    assert set(application.REFUSALS) < set(map(int, predict["responses"]))
    assert predict["requestBody"]["content"].keys() == {"image/*", "multipart/form-data"}
    assert predict["parameters"][0]["schema"]["enum"] == ["1", "small", "0"]
    assert "Results" in str(predict["responses"]["200"])


def test_a_form_is_answered_file_by_file_in_its_order(address, detector):
    images = [leaf(seed) for seed in range(20)]  # of more than one batch
    files = [(f"{seed}.png", written(image)) for seed, image in enumerate(images)]
    files[3:3] = [("notes.png", b"hello"), ("Blätter/cut.png", files[0][1][:300])]
    said = form(address, *files)
    assert said.status_code == 200
    results = said.json()["results"]
    assert [each["file"] for each in results] == [name for name, _ in files]
    assert results[3].keys() == results[4].keys() == {"file", "error"}
    assert results[3]["error"].startswith("cannot be decoded as an image (no JPEG, PNG")
    assert "damaged or cut off" in results[4]["error"]
    good = [each for each in results if "error" not in each]
    judged = detector.predict(images)
    np.testing.assert_allclose([each["score"] for each in good], judged.scores, atol=1e-5)
    assert [each["anomalous"] for each in good] == judged.labels.tolist()


@pytest.mark.parametrize("alone", [True, False])
def test_pictures_come_as_they_are_asked_for(address, alone):
    content = written(leaf(side=200))

    def ask(pictures: str) -> dict:
        if alone:
            return sent(address, content, params={"pictures": pictures}).json()
        (result,) = form(address, ("a.png", content), pictures=pictures).json()["results"]
        assert result.pop("file") == "a.png"
        return result

    figures = {"score", "anomalous", "threshold", "map_p99"}
    assert ask("0").keys() == figures
    small, whole = ask("small"), ask("1")
    assert small.keys() == figures | {"picture", "layers"}
    assert small["layers"].keys() == {"map"}
    assert size(small["picture"]) == size(small["layers"]["map"]) == (answer.THUMBNAIL, answer.THUMBNAIL)
    assert whole.keys() == small.keys() | {"normal", "anomalous_like"}
    assert size(whole["picture"]) == size(whole["layers"]["attention"]) == (200, 200)
    if alone:
        assert sent(address, content).json() == whole


def size(picture: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).size


def test_pictures_of_another_size_are_refused_in_one_line(address):
    said = sent(address, written(leaf()), params={"pictures": "large"})
    assert said.status_code == 422
    assert said.json()["detail"] == "pictures: Input should be '1', 'small' or '0'"


def test_the_images_of_a_form_are_judged_in_batches(detector, monkeypatch):
    seen, networks = [], detector.networks
    counting = lambda images: (seen.append(len(images)), networks(images))[1]  # noqa: E731
    counting.batch, counting.threads = networks.batch, networks.threads
    monkeypatch.setattr(detector, "networks", counting)
    found = list(answer.answers(detector, [written(leaf(seed)) for seed in range(12)], "0"))
    assert len(found) == 12
    assert sorted(seen) == [4, networks.batch]


def test_the_nearest_image_of_a_training_image_is_itself(address, detector):
    known = detector.known
    for at in (0, len(known["gallery"]) - 1):
        place = known["gallery"][at]
        said = sent(address, written(known["thumbnails"][at])).json()
        found = said["anomalous_like" if known["labels"][place] else "normal"][0]
        assert found["path"] == detector.facts["images"][place]
        assert found["likeness"] == pytest.approx(1, abs=0.01)


BAD = {
    "a text": (b"hello", 415, "no JPEG, PNG"),
    "nothing": (b"", 400, "send its bytes as the body"),
    "a cut image": (written(leaf())[:300], 415, "damaged or cut off"),
    "too many pixels": (written(np.zeros((6501, 10_000), np.uint8)), 415, "more than 65,000,000 pixels"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_image_is_one_sentence(address, what):
    content, status, reason = BAD[what]
    said = sent(address, content)
    assert said.status_code == status
    assert reason in said.json()["detail"]
    assert sent(address, written(leaf())).ok


def test_fifty_megapixels_are_judged(address):
    assert sent(address, written(np.zeros((5000, 10_000, 3), np.uint8), "JPEG")).json()["score"] >= 0


def test_what_is_too_large_is_refused_before_it_came(address):
    assert b"413" in raw(address, upload(limits.MAX_BYTES + 1)).split(b"\r\n")[0]
    chunk = b"%x\r\n" % (limits.MAX_BYTES + 1) + bytes(limits.MAX_BYTES + 1)
    chunked = "POST /api/predict HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\n"
    with suppress(ConnectionError):  # closed while it was still being sent
        assert b"413" in raw(address, chunked, chunk, wait=30).split(b"\r\n")[0]
    assert sent(address, written(leaf())).ok


def test_a_form_with_too_much_in_it_is_refused(address, inside, monkeypatch):
    many = form(address, *[(f"{number}.png", b"hello") for number in range(limits.MAX_FILES + 1)])
    assert (many.status_code, many.json()["detail"]) == (413, "the form has more than 256 files")
    assert form(address, *[(f"{number}.png", b"hello") for number in range(limits.MAX_FILES)]).ok
    head = "POST /api/predict HTTP/1.1\nHost: localhost\nContent-Type: multipart/form-data; boundary=b\n"
    length = f"Content-Length: {limits.MAX_REQUEST + 1}\n\n"
    assert b"413" in raw(address, head + length).split(b"\r\n")[0]
    monkeypatch.setattr(limits, "MAX_BYTES", 2000)
    monkeypatch.setattr(limits, "MAX_REQUEST", 5000)
    address = inside()
    image = form(address, ("a.png", bytes(1500)), ("b.png", bytes(2500)))
    assert (image.status_code, image.json()["detail"]) == (413, "the image has more than 0 MiB")
    assert form(address, ("a.png", bytes(1500)), ("b.png", bytes(1500))).ok
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + bytes(1900) + b"\r\n"
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(3 * part), 3 * part)
    said = raw(address, head + "Transfer-Encoding: chunked\n\n", body)
    assert b"413" in said.split(b"\r\n")[0]
    assert b"the request has more than" in said


FORMS = {
    "without a file": (b"--b--\r\n", "b", "the form has no file"),
    "cut off": (b'--b\r\nContent-Disposition: form-data; name="i"; filename="a"\r\n\r\nPNG', "b", "it has no end"),
    "of another boundary": (b"--c--\r\n", "b", "the form is damaged"),
    "with no boundary": (b"--b--\r\n", "", "the form is damaged"),
    "with a boundary too long": (b"--b--\r\n", "b" * 1000, "the form is damaged"),
}


@pytest.mark.parametrize("what", FORMS)
def test_a_form_that_cannot_be_read_is_one_sentence(address, what):
    body, boundary, reason = FORMS[what]
    said = sent(address, body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert said.status_code == 400
    assert reason in said.json()["detail"]


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
    connected(address, upload(1000), b"PNG").close()  # the body never comes
    assert sent(address, written(leaf())).ok


def test_who_sends_slowly_is_cut_off(inside, monkeypatch):
    monkeypatch.setattr(limits, "ARRIVAL", 1)
    address = inside()
    began = time.monotonic()
    assert raw(address, "GET / HTTP/1.1\nHost: local") == b""  # a head without an end
    assert raw(address, "") == b""  # no head at all
    assert b"408" in raw(address, upload(1000), b"PNG").split(b"\r\n")[0]
    assert 3 <= time.monotonic() - began < 30
    whole = "GET /api/detector HTTP/1.1\nHost: localhost\n\n"
    with connected(address, whole) as second:  # then half of one
        assert b"200" in second.recv(65536)
        second.sendall(b"GET /api")
        while second.recv(65536):
            pass
    assert sent(address, written(leaf())).ok


def test_elsewhere_only_the_token_opens(inside):
    address = inside(token="secret")
    assert requests.get(address, timeout=10).ok  # the page says nothing of the detector
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
        for said in (
            requests.get(f"{address}/api/detector", headers=headers, timeout=10),
            sent(address, written(leaf()), headers=headers),
        ):
            assert (said.status_code, "token" in said.json()["detail"]) == (401, True)
    assert requests.get(f"{address}/health", timeout=10).json() == {"status": "ok"}
    assert sent(address, written(leaf()), headers={"Authorization": "Bearer secret"}).ok


def test_an_empty_token_is_none(attending, tmp_path):
    open_to_all, log = ["--host", "0.0.0.0", "--token", ""], tmp_path / "log"
    with servers.detector(attending.root, log, *open_to_all, LEANET_TOKEN=" ") as (address, _):
        assert requests.get(f"{address}/api/detector", timeout=10).status_code == 401
        made = {"Authorization": f"Bearer {log.read_text().partition('#')[2].strip()}"}
        assert requests.get(f"{address}/api/detector", headers=made, timeout=10).ok


@pytest.mark.parametrize("token", ["two words", "Schlüssel"])
def test_a_token_that_no_request_can_bear_is_one_line(attending, token):
    done = attending.run("python", "-m", "leanet", "serve", "--port", "70000", LEANET_TOKEN=token)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "leanet: --token or LEANET_TOKEN: expected ASCII letters, digits and signs, no space\n"


FOREIGN = {
    "another site": {"Origin": "https://evil.example"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "a file": {"Origin": "null"},
    "who knows": {"Origin": "http://["},
    "a link from another site": {"Sec-Fetch-Site": "cross-site"},
    "a link from another port": {"Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("whose", FOREIGN)
def test_pages_of_others_may_not_ask(address, whose):
    text = FOREIGN[whose] | {"Content-Type": "text/plain"}
    for said in (
        requests.get(f"{address}/api/detector", headers=text, timeout=10),
        sent(address, written(leaf()), headers=text),
    ):
        assert said.status_code == 403
        assert said.json()["detail"].startswith("a page of another site asks")
    assert requests.get(address, headers=text, timeout=10).ok  # a link may lead to the page


def test_its_own_page_may_ask_also_behind_a_proxy(address):
    for headers in (
        {"Origin": address},
        {"Origin": address, "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://proxy.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert sent(address, written(leaf()), headers=headers).ok


def test_who_comes_when_too_many_wait_is_told_to_come_back(inside, monkeypatch):
    monkeypatch.setattr(limits, "MAX_WAITING", 2)
    go_on = threading.Event()
    answers = answer.answers
    monkeypatch.setattr(answer, "answers", lambda *given: (go_on.wait(20), answers(*given))[1])
    intake = Intake()
    monkeypatch.setattr(application, "Intake", lambda: intake)
    address = inside()
    with ThreadPoolExecutor(2) as pool:
        first = [pool.submit(sent, address, written(leaf())) for _ in range(2)]
        eventually(lambda: intake.requests == 2)
        refused = sent(address, written(leaf()))
        go_on.set()
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        assert all(each.result().ok for each in first)


def test_all_requests_together_hold_so_many_bytes(inside, monkeypatch):
    content = written(leaf())
    monkeypatch.setattr(limits, "MAX_HELD", len(content) + 100)
    address = inside()
    assert [sent(address, content).status_code for _ in range(3)] == [200] * 3  # what is answered is let go
    refused = form(address, ("a.png", content), ("b.png", content))
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert sent(address, content).ok


def test_uploads_under_way_hold_bytes_and_let_them_go(inside, monkeypatch):
    content = written(leaf())
    monkeypatch.setattr(limits, "MAX_HELD", 2 * len(content))
    monkeypatch.setattr(limits, "ARRIVAL", 3600)  # on a slow machine, too, they are under way when others come
    address = inside()
    stalled = [connected(address, upload(len(content)), content[:-1]) for _ in range(2)]
    for _ in range(3):  # answered after the uploads have come: they were there before
        assert requests.get(f"{address}/health", timeout=60).ok
    eventually(lambda: sent(address, content).status_code == 503)
    for each in stalled:
        each.close()
    eventually(lambda: sent(address, content).ok)


def test_uploads_that_are_given_up_leave_nothing(attending, tmp_path):
    size, log = 24 * limits.MIB, tmp_path / "log"
    with servers.detector(attending.root, log, first="import gc; gc.disable()") as (address, process):
        for at in range(8):
            connected(address, upload(2 * size), bytes(size)).close()
            if at == 3:
                before = resident(process.pid)
        assert sent(address, written(leaf())).ok
        assert resident(process.pid) < before + 48  # of the 96 that came
    assert "Traceback" not in log.read_text()


LONG = 64 * limits.MIB  # more than the sockets of both sides take


@contextmanager
def unread(inside: Callable, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, socket.socket]]:
    """A server with one place, and somebody who asks for a long answer and does not read it."""
    monkeypatch.setattr(limits, "MAX_WAITING", 1)
    monkeypatch.setattr(answer, "write", lambda *_: io.BytesIO(bytes(LONG)))
    address = inside()
    body = b'--b\r\nContent-Disposition: form-data; name="i"\r\n\r\nPNG\r\n--b--\r\n'
    kind = "Content-Type: multipart/form-data; boundary=b"
    with connected(address, upload(len(body), kind), body) as connection:
        assert b"200" in connection.recv(100)
        yield address, connection


def test_an_answer_takes_a_place_until_it_is_read(inside, monkeypatch):
    with unread(inside, monkeypatch) as (address, connection):
        assert sent(address, written(leaf())).status_code == 503
        connection.close()
        eventually(lambda: sent(address, written(leaf())).ok)


def test_who_does_not_read_is_cut_off(inside, monkeypatch):
    monkeypatch.setattr(limits, "READING", 2)
    with unread(inside, monkeypatch) as (address, connection):
        eventually(lambda: sent(address, written(leaf())).ok)
        came = 0
        with suppress(ConnectionError):
            while piece := connection.recv(2**20):
                came += len(piece)
        assert came < LONG


def test_so_many_connections_are_open_at_once(inside, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 3)
    address = inside()
    with ExitStack() as idle:
        for _ in range(3):
            idle.enter_context(connected(address))
        assert b" 503 " in raw(address, "", wait=60).split(b"\r\n")[0]
    eventually(lambda: raw(address, "GET /health HTTP/1.1\nHost: localhost\n\n").startswith(b"HTTP/1.1 200"))


NEVER_DONE = """
import time
from leanet.service import answer
answer.answers = lambda *_: (print("judging", flush=True), time.sleep(600))
"""


def test_it_ends_whatever_is_judged_sent_or_read(attending, tmp_path):
    with servers.detector(attending.root, tmp_path / "log", first=NEVER_DONE) as (address, process):
        judged = connected(address, upload(3), b"PNG")
        arriving = connected(address, upload(1000), b"PNG")
        unread = connected(address, 500 * "GET / HTTP/1.1\nHost: localhost\n\n")
        with judged, arriving, unread:
            eventually(lambda: "judging" in (tmp_path / "log").read_text())
            process.terminate()
            assert process.wait(60) == -signal.SIGTERM
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("place", ["taken", "70000", "nowhere.invalid"])
def test_where_it_cannot_listen_is_one_line(attending, address, place):
    port = {"taken": address.rpartition(":")[2]}.get(place, place)
    where = ["--host", place] if "." in place else ["--port", port]
    done = attending.run("python", "-m", "leanet", "serve", *where)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"{where[0]} {where[1]}" in done.stderr


def resident(process: int) -> int:
    """MiB of memory that a process holds."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def test_two_hundred_requests_sixteen_at_once(served):
    address, process = served
    images = [written(leaf(seed)) for seed in range(20)]

    def ask(number: int) -> tuple[int, float]:
        said = sent(address, images[number % 20])
        return said.status_code, said.json()["score"]

    with ThreadPoolExecutor(16) as pool:
        first = list(pool.map(ask, range(100)))
        before = resident(process)
        rest = list(pool.map(ask, range(100, 200)))
    assert {status for status, _ in first + rest} == {200}
    by_image = [score for _, score in first + rest]
    assert all(by_image[i] == pytest.approx(by_image[i % 20], abs=1e-6) for i in range(200))
    assert resident(process) < before + 50


def test_forms_one_after_another_take_no_more_memory(served):
    address, process = served
    files = [(f"{seed}.png", written(leaf(seed)) + bytes(2**20)) for seed in range(16)]
    for _ in range(8):
        assert form(address, *files, pictures="small").ok
    before = resident(process)
    for _ in range(16):
        assert form(address, *files, pictures="small").ok
    assert resident(process) < before + 50  # of the 256 that came


def test_a_long_answer_waits_on_disk(detector, monkeypatch):
    monkeypatch.setattr(limits, "KEPT", 1000)
    with answer.write(detector, ["a.png", "b.png"], [written(leaf())] * 2, "1") as file:
        assert file._rolled
        assert len(json.load(file)["results"]) == 2


def test_limits_are_options(attending, tmp_path):
    for limit, said in (
        ("max-pixel=1", "--limit max-pixel=1: expected NAME=NUMBER, where NAME is one of max-bytes, max-pixels, "),
        ("arrival=0", "--limit arrival=0: expected a whole number from 1"),
        ("arrival", "--limit arrival: expected a whole number from 1"),
    ):
        done = attending.run("python", "-m", "leanet", "serve", "--limit", limit)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
    with servers.detector(
        attending.root, tmp_path / "log", "--limit", "max-pixels=2000", "--limit", "max-files=3"
    ) as (address, _):
        assert "more than 2,000 pixels" in sent(address, written(leaf())).json()["detail"]
        assert sent(address, written(leaf(side=40))).ok
        assert "3 files" in requests.get(f"{address}/openapi.json", timeout=60).text
