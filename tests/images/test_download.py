"""Downloads from a server on loopback with the faults that real ones have."""

import hashlib
import io
import json
import random
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
import requests
from conftest import ROOT
from loopback import Answer, Loopback

from leanet.core import files
from leanet.core.errors import InputError
from leanet.images import download as module
from leanet.images import web
from leanet.images.download import Remote, download, record
from leanet.images.figshare import listed

BODY = random.Random(1).randbytes(2_000_000)
OTHER = random.Random(2).randbytes(2_000_000)
PAGE = b"<!DOCTYPE html><title>Not today</title>"
KNOWN = Remote("set.zip", (), "https://example.org/set", len(BODY), hashlib.sha256(BODY).hexdigest(), None)
UNKNOWN = replace(KNOWN, size=None, sha256=None)
GOOD = Answer(BODY)
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(web, "TIMEOUTS", (2, 0.5))
    monkeypatch.setattr(web, "PAUSES", (0.01, 0.02))
    monkeypatch.setattr(web, "GAIN", 100_000)
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.3)
    monkeypatch.setattr(module, "SLOW_BYTES", 1000)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def get(tmp_path):
    """`get(server, "/path", …)` downloads to the folder `get.folder`; never may a wrong file be there after."""

    def get(server, *paths, remote=KNOWN):
        addresses = tuple(server.address(path) for path in paths)
        try:
            file = download(replace(remote, addresses=addresses), get.folder, get.seen)
        finally:
            assert not (get.folder / "set.zip").is_file() or (get.folder / "set.zip").read_bytes() == BODY
        assert file == get.folder / "set.zip"
        assert file.is_file()
        assert not list(get.folder.glob("*.part*"))

    get.folder, get.seen = tmp_path / "downloads", tmp_path / "seen.json"
    get.part = get.folder / "set.zip.part"
    return get


REFUSALS = {
    "answered 202": Answer(status=202),
    "answered 403": Answer(PAGE, status=403),
    "answered 404": Answer(status=404),
    "answered 410": Answer(status=410),
    "answered 206": Answer(BODY, status=206),
    "answered with an HTML page": Answer(PAGE, headers={"Content-Type": "text/html; charset=utf-8"}),
    "is an HTML page": Answer(PAGE + BODY[len(PAGE) :]),
    "announces 0 bytes, expected 2000000": Answer(),
    "an empty body": Answer(length=False),
    "announces 1999999 bytes": Answer(BODY[:-1]),
    "announces 2000001 bytes": Answer(BODY + b"+"),
    "more than the expected 2000000 bytes": Answer(BODY * 30, length=False),
    "has the sha256 " + hashlib.sha256(OTHER).hexdigest(): Answer(OTHER),
    r"no answer \(TooManyRedirects\)": Answer(status=302, headers={"Location": "/a"}),
    r"no answer \(UnicodeDecodeError\)": Answer(status=302, headers={"Location": "/\xff"}),
    r"no answer \(ValueError\)": Answer(status=302, headers={"Location": "//[::1/"}),
    r"no answer \(InvalidSchema\)": Answer(status=302, headers={"Location": "file:///etc/passwd"}),
    f"announces {'9' * 30} bytes": Answer(BODY, headers={"Content-Length": "9" * 30}),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_what_is_not_the_file_is_named_and_the_next_address_has_it(get, reason):
    with Loopback({"/a": REFUSALS[reason], "/b": BODY}) as server:
        with pytest.raises(
            InputError, match=f"{server.address('/a')}: {reason}.*by hand from https://example.org"
        ):
            get(server, "/a")
        asked = len(server.asked["/a"])
        assert asked == (31 if "Redirects" in reason else 1)
        get(server, "/a", "/b")
        assert len(server.asked["/b"]) == 1
        assert server.served["/a"] < 10 * len(BODY)  # of the 30 that it had


PASSING = {
    "500 twice": [Answer(status=500), Answer(status=503, body=PAGE)],
    "408": [Answer(status=408)],
    "connection closed before any byte": [Answer(BODY, cut=0)],
    "connection closed amid the body": [Answer(BODY, cut=900_000)],
    "closed without having announced a length": [Answer(BODY, cut=900_000, length=False)],
    "no headers": [Answer(gate=threading.Event())],
    "silence amid the body": [Answer(BODY, drip=5)],
    "a byte now and then": [Answer(BODY, drip=0.01)],
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again_at_the_same_address(get, fault, capsys):
    with Loopback({"/a": [*PASSING[fault], GOOD], "/b": BODY}) as server:
        get(server, "/a", "/b")
        assert len(server.asked["/a"]) == len(PASSING[fault]) + 1
        assert not server.asked["/b"]
        assert server.served["/a"] < 1.1 * len(BODY)
        assert capsys.readouterr().err.count("; trying again in") == len(PASSING[fault])


@pytest.mark.parametrize("fault", ["500 twice", "no headers", "a byte now and then"])
def test_what_does_not_pass_is_left_for_the_next_address(get, fault):
    with Loopback({"/a": PASSING[fault], "/b": BODY}) as server:
        get(server, "/a", "/b")
        assert len(server.asked["/a"]) == 3
        assert len(server.asked["/b"]) == 1


def test_a_busy_server_is_left_alone_as_long_as_it_asks_though_not_for_ever(get, monkeypatch):
    slept = []
    monkeypatch.setattr(web.time, "sleep", slept.append)
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    none = [(said, 0.01, 0.01) for said in ("soon", "9" * 5000, "Fri, 31 Dec 2024 23:59:59 9999999999999999")]
    for said, least, most in (("7", 7, 7), (date, 90, 100), ("86400", 300, 300), *none):
        (get.folder / "set.zip").unlink(missing_ok=True)
        with Loopback({"/a": [Answer(status=429, headers={"Retry-After": said}), GOOD]}) as server:
            get(server, "/a")
        assert least <= slept.pop() <= most
        assert not slept


@pytest.mark.parametrize(("etag", "validator"), [('"1"', '"1"'), (None, DATE), ('W/"1"', DATE)])
def test_a_dropped_download_goes_on_where_it_stopped(get, capsys, etag, validator):
    answer = Answer(BODY, etag=etag, headers={"Last-Modified": DATE})
    with Loopback({"/a": [replace(answer, cut=1_300_000), answer]}) as server:
        get(server, "/a", remote=UNKNOWN)
        assert server.served["/a"] < 1.1 * len(BODY)
        first, second = server.asked["/a"]
        assert "leanet" in first["User-Agent"]
        assert first["Accept-Encoding"] == "identity"
        assert "Range" not in first
        assert second["Range"].startswith("bytes=1")
        assert second["If-Range"] == validator
    assert "set.zip (MiB): 1/1, 0 s left" in capsys.readouterr().err


def test_drops_are_borne_as_long_as_each_try_brings_something(get):
    with Loopback({"/a": Answer(BODY, cut=300_000), "/b": Answer(BODY, cut=300_000, ranges=False)}) as server:
        get(server, "/a")
        assert len(server.asked["/a"]) == 7
        (get.folder / "set.zip").unlink()
        with pytest.raises(InputError, match="after 2 retries"):
            get(server, "/b")
        assert len(server.asked["/b"]) == 3


@pytest.mark.parametrize("remote", [KNOWN, UNKNOWN], ids=["hash", "no hash"])
def test_where_the_rest_cannot_be_had_it_starts_over(get, remote):
    changed = [Answer(OTHER, cut=1_000_000), Answer(BODY, etag='"2"')]
    ignored = [Answer(BODY, cut=1_000_000), Answer(BODY, ranges=False)]
    elsewhere = Answer(BODY, status=206, headers={"Content-Range": "bytes 5-1999999/2000000"}, ranges=False)
    misplaced = [Answer(BODY, cut=1_000_000), elsewhere, GOOD]
    endless = replace(elsewhere, headers={"Content-Range": f"bytes 1000000-1999999/{'9' * 5000}"})
    unsaid = [Answer(BODY, cut=1_000_000), endless, GOOD]
    weak = [Answer(OTHER, cut=1_000_000, etag='W/"1"'), Answer(BODY, etag='W/"1"')]
    for answers in (changed, ignored, misplaced, unsaid, weak):
        (get.folder / "set.zip").unlink(missing_ok=True)
        with Loopback({"/a": answers}) as server:
            get(server, "/a", remote=remote)


def test_a_part_is_only_continued_unseen_if_a_hash_will_judge_it(get):
    get.folder.mkdir()
    get.part.write_bytes(BODY[:1_500_000])
    with Loopback({"/a": BODY}) as server:
        get(server, "/a")
        assert server.served["/a"] == 500_000
        (get.folder / "set.zip").unlink()
        get.part.write_bytes(OTHER[:1_500_000])
        get(server, "/a", remote=UNKNOWN)
        assert "Range" not in server.asked["/a"][1]


NOTES = ["{garbage", "[]", "5", "[" * 100_000, '{"address": "%s", "validator": 5}', '{"address": "%s"}']


@pytest.mark.parametrize("note", NOTES, ids=range(len(NOTES)))
@pytest.mark.parametrize("size", [1_500_000, 2_000_000, 2_100_000])
def test_a_part_of_something_else_is_dropped(get, size, note):
    get.folder.mkdir()
    get.part.write_bytes((OTHER * 2)[:size])
    with Loopback({"/a": BODY}) as server:
        get.part.with_name("set.zip.part.json").write_text(note.replace("%s", server.address("/a")))
        get(server, "/a")
        assert "Range" not in server.asked["/a"][-1]


def test_a_wrong_file_that_comes_in_two_goes_is_tried_only_once_more(get):
    with Loopback({"/a": Answer(OTHER, cut=1_000_000)}) as server:
        with pytest.raises(InputError, match="has the sha256"):
            get(server, "/a")
        assert len(server.asked["/a"]) == 4
        assert not get.part.exists()


def test_a_whole_part_needs_no_request(get):
    get.folder.mkdir()
    get.part.write_bytes(BODY)
    with Loopback({"/a": BODY}) as server:
        get(server, "/a")
        assert not server.asked["/a"]


def test_another_address_continues_what_one_began(get):
    with Loopback(
        {"/a": [Answer(BODY, cut=1_300_000), Answer(status=404)], "/b": Answer(BODY, etag=None)}
    ) as server:
        get(server, "/a", "/b")
        assert server.served["/b"] < 0.4 * len(BODY)


def test_an_interrupt_leaves_the_part_for_the_next_run(get, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with Loopback({"/a": BODY}) as server:
        with monkeypatch.context() as patch:
            patch.setattr(module.Progress, "step", interrupt)
            with pytest.raises(KeyboardInterrupt):
                get(server, "/a")
        assert not (get.folder / "set.zip").exists()
        begun = get.part.stat().st_size
        assert begun >= 2**20
        get(server, "/a", remote=UNKNOWN)  # the server's word is enough to go on
        assert server.asked["/a"][1]["Range"] == f"bytes={begun}-"


def test_a_redirect_is_followed_and_the_rest_asked_for_through_it(get):
    there = Answer(status=302, headers={"Location": "/b"})
    with Loopback({"/a": there, "/b": [Answer(BODY, cut=1_300_000), GOOD]}) as server:
        get(server, "/a")
        assert server.served["/b"] < 1.1 * len(BODY)


def test_when_all_addresses_fail_each_is_named_with_what_to_do_by_hand(get):
    with Loopback({}) as gone:
        pass
    with Loopback({"/a": Answer(status=404), "/b": Answer(status=500)}) as server:
        dead = replace(KNOWN, addresses=(server.address("/a"), server.address("/b"), gone.address("/c")))
        with pytest.raises(InputError) as error:
            download(dead, get.folder, get.seen)
    file = get.folder / "set.zip"
    assert str(error.value) == (
        f"{file}: {dead.addresses[0]}: answered 404; {dead.addresses[1]}: answered 500, after 2 retries; "
        f"{dead.addresses[2]}: cannot be reached, after 2 retries; "
        f"download it by hand from https://example.org/set and put it at {file}"
    )
    assert not file.exists()


def test_a_file_put_there_by_hand_is_verified_and_then_believed(get):
    file = get.folder / "set.zip"
    file.parent.mkdir()
    with Loopback({"/a": BODY}) as server:
        remote = replace(KNOWN, addresses=(server.address("/a"),))
        md5 = replace(remote, sha256=None, md5=hashlib.md5(BODY).hexdigest().upper())
        for wrong, reason in (
            (BODY[:-1], "has 1999999 bytes, expected 2000000"),
            (OTHER, f"has the sha256 {hashlib.sha256(OTHER).hexdigest()}, expected {KNOWN.sha256}"),
        ):
            file.write_bytes(wrong)
            with pytest.raises(InputError, match=f"set.zip: {reason}; remove it to download it again"):
                download(remote, get.folder, get.seen)
            assert file.read_bytes() == wrong
        with pytest.raises(InputError, match="has the md5"):
            download(md5, get.folder, get.seen)
        file.write_bytes(b"")
        with pytest.raises(InputError, match="set.zip: is empty; remove it"):
            download(UNKNOWN, get.folder, get.seen)
        file.write_bytes(BODY)
        assert download(remote, get.folder, get.seen) == download(md5, get.folder, get.seen) == file
        assert not server.asked["/a"]
    assert not get.seen.exists()


def test_without_a_published_hash_the_first_seen_is_held_to(get):
    get.seen.write_text('{"z.zip": {"sha256": "0", "size": 1}, "b.zip": {"sha256": "0", "size": 1}}')
    with Loopback({"/a": BODY, "/b": OTHER}) as server:
        get(server, "/a", remote=UNKNOWN)
        record(UNKNOWN, get.folder, get.seen)
        record(KNOWN, get.folder, get.seen)
        recorded = json.loads(get.seen.read_text())
        assert recorded["set.zip"] == {"sha256": KNOWN.sha256, "size": len(BODY)}
        assert list(recorded) == ["b.zip", "set.zip", "z.zip"]
        file = get.folder / "set.zip"
        file.unlink()
        with pytest.raises(
            InputError,
            match=f"expected {KNOWN.sha256}; .* first seen: trust the new file by .*{get.seen}",
        ):
            get(server, "/b", remote=UNKNOWN)
        get(server, "/b", "/a", remote=UNKNOWN)
        file.write_bytes(OTHER)
        with pytest.raises(InputError, match=f"first seen: .* {get.seen}; remove it to"):
            download(UNKNOWN, get.folder, get.seen)
        record(UNKNOWN, get.folder, get.seen)  # the first stays
        assert json.loads(get.seen.read_text()) == recorded
    wrong = ("[]", '{"set.zip": 5}', '{"set.zip": {"sha256": 5, "size": 5}}', "[" * 100_000)
    for text in (*wrong, '{"set.zip": {"sha256": "0", "size": "5"}}', '{"set.zip": {"sha256": "0"}}'):
        get.seen.write_text(text)
        with pytest.raises(InputError, match="seen.json: expected JSON as"):
            download(UNKNOWN, get.folder, get.seen)


def test_without_hash_only_a_body_that_says_where_it_ends_is_taken(get):
    endless = Answer(BODY, length=False)
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    chunks = Answer(framed, length=False, headers={"Transfer-Encoding": "chunked"}, ranges=False)
    with Loopback({"/a": endless, "/b": [replace(chunks, cut=1_000_000), chunks]}) as server:
        with pytest.raises(InputError, match="does not say how long the file is"):
            get(server, "/a", remote=UNKNOWN)
        get(server, "/b", remote=UNKNOWN)
        assert len(server.asked["/b"]) == 2
        (get.folder / "set.zip").unlink()
        get(server, "/a", remote=replace(KNOWN, size=None))


def chunked(body, size=2**16):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return Answer(framed, length=False, headers={"Transfer-Encoding": "chunked"}, ranges=False)


def test_a_body_that_nobody_says_the_end_of_has_one(get, monkeypatch):
    monkeypatch.setattr(module, "MOST", 1_000_000)
    with Loopback({"/a": chunked(BODY * 30), "/b": BODY}) as server:
        for path, reason in (("/a", "more than the expected 1000000 bytes"), ("/b", "announces 2000000 bytes")):
            with pytest.raises(InputError, match=f"{reason}.*by hand"):
                get(server, path, remote=UNKNOWN)
            assert not get.part.exists()
        get(server, "/a", "/b")  # whose size is known
        assert server.served["/a"] < 10 * len(BODY)  # of the 30 that it had


@pytest.mark.parametrize("answer", [GOOD, chunked(BODY)], ids=["announced", "without a length"])
def test_some_of_the_disk_is_left_to_others(get, monkeypatch, answer):
    free = iter([2_500_000, 2_500_000])  # then nothing
    monkeypatch.setattr(files, "SPARE", 2**20)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=next(free, 2**20)))
    said = "set.zip: the disk has too little room, since 1 MiB of it are left free; mend this and run again"
    with Loopback({"/a": answer, "/b": BODY}) as server:
        with pytest.raises(InputError, match=said):
            get(server, "/a", "/b", remote=UNKNOWN)
        assert not server.asked["/b"]  # which would need as much
        monkeypatch.undo()
        get(server, "/a", remote=UNKNOWN)


def test_https_never_becomes_http(get, monkeypatch):
    asked = []

    def answer(adapter, request, **_):
        asked.append(request.url)
        response = requests.Response()
        response.status_code, response.url, response.request, response.raw = (
            302,
            request.url,
            request,
            io.BytesIO(),
        )
        response.headers["Location"] = next(locations)
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", answer)
    locations = iter(["//example.org/b", "HTTP://example.org/c", "/d"])
    remote = replace(KNOWN, addresses=("https://example.org/a",))
    with pytest.raises(InputError, match="https://example.org/a: leads from https to http;"):
        download(remote, get.folder, get.seen)
    assert asked == ["https://example.org/a", "https://example.org/b"]


def test_of_two_processes_one_downloads_and_the_other_waits(get):
    open_gate = threading.Event()
    script = "import sys; from pathlib import Path; from leanet.images.download import Remote, download; "
    with Loopback({"/a": Answer(BODY, gate=open_gate)}) as server:
        remote = replace(KNOWN, addresses=(server.address("/a"),))
        command = [sys.executable, "-c", script + f"download({remote}, Path(sys.argv[1]), Path(sys.argv[2]))"]
        command += [str(get.folder), str(get.seen)]
        both = []
        for _ in range(2):
            both.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True))
            while not server.asked["/a"] and both[0].poll() is None:
                time.sleep(0.02)
        assert "set.zip: waits for another process that downloads it" in both[1].stderr.readline()
        open_gate.set()
        assert both[1].communicate(timeout=300)[1] == ""
        assert both[0].communicate(timeout=300)[1].count("\n") <= 1  # progress
        assert [process.returncode for process in both] == [0, 0]
        get(server, "/a")
        assert server.served["/a"] == len(BODY)


def test_a_full_disk_and_a_folder_that_cannot_be_are_named(get):
    get.folder.mkdir()
    get.part.symlink_to("/dev/full")
    with Loopback({"/a": BODY}) as server:
        with pytest.raises(InputError, match="set.zip: No space left on device; mend this and run again"):
            get(server, "/a")
        get.part.unlink()
        get.folder = get.folder / "file"
        get.folder.write_text("no folder")
        with pytest.raises(InputError, match=f"{get.folder}.*: (File exists|Not a directory); mend this"):
            get(server, "/a")


def test_figshare_says_where_a_file_is_and_what_to_expect():
    files = [
        {"name": name, "size": 5, "computed_md5": "ab", "download_url": f"https://example.org/{name}", "id": 1}
        for name in ("02-DR2-images-by-referral.zip", "03-DR2-images-by-quality.zip")
    ]
    article = Answer(json.dumps({"files": files}).encode())
    with Loopback({"/api": [Answer(status=502), article], "/none": b"[]", "/gone": Answer(status=404)}) as server:
        found = listed(server.address("/api"), r"dr2.*referral.*\.zip$")
        assert found == ("https://example.org/02-DR2-images-by-referral.zip", 5, "ab")
        for pattern, count in (("dr2", 2), ("dr1", 0)):
            with pytest.raises(InputError, match=f"{count} files match '{pattern}'.*there are 02-DR2.*, 03-DR2"):
                listed(server.address("/api"), pattern)
        with pytest.raises(InputError, match="/none: lists no files with name"):
            listed(server.address("/none"), "dr2")
        with pytest.raises(InputError, match="/gone: answered 404; expected a figshare article"):
            listed(server.address("/gone"), "dr2")


FILE = {"name": "dr2.zip", "size": 5, "computed_md5": "ab", "download_url": "https://example.org/dr2.zip"}
ODD = {
    "lists no files with name": (
        *(json.dumps(each).encode() for each in ([], 5, None, {"files": 5}, {"files": {"name": "dr2"}})),
        *(json.dumps({"files": [FILE | {"name": name}]}).encode() for name in (5, None, ["dr2"])),
        *(b"[" * 100_000, b'{"files": [{"name": "\xff"}]}', b'{"files": ' + b"9" * 5000 + b"}", b" " * 5_000_000),
    ),
    "dr2.zip has no download_url, size and computed_md5": tuple(
        json.dumps({"files": [FILE | change]}).encode()
        for key, values in {
            "size": ("5", -1, 0, 1e300, True, None, [5], {}),
            "computed_md5": (5, None, ["ab"]),
            "download_url": (5, None, "", "file:///etc/passwd", "ftp://example.org/dr2.zip", "//example.org"),
        }.items()
        for change in ({key: value} for value in values)
    ),
}


@pytest.mark.parametrize("said", ODD)
def test_an_odd_listing_of_figshare_is_one_line(said):
    with Loopback({f"/{at}": body for at, body in enumerate(ODD[said])}) as server:
        for path in server.pages:
            with pytest.raises(InputError, match=f"{server.address(path)}: {said}.*; expected a figshare article"):
                listed(server.address(path), "dr2")


def test_where_nobody_answers_there_is_little_waiting(get, monkeypatch, capsys):
    monkeypatch.setattr(web, "PAUSES", (0.01,) * 9)
    with Loopback({"/a": BODY}) as server:
        pass
    with Loopback({"/b": BODY}) as mirror:
        closed = server.address("/a")
        download(replace(KNOWN, addresses=(closed, mirror.address("/b"))), get.folder, get.seen)
    assert capsys.readouterr().err.count("127.0.0.1: cannot be reached; trying again") == 2
