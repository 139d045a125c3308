"""What the service takes on at most, and what it does to those who ask for more."""

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

import pytest
import requests
import servers
from serving import connected, eventually, form, leaf, raw, sent, upload, written

from leanet.service import answer, application, limits
from leanet.service.arrival import Intake

pytestmark = pytest.mark.alone


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
