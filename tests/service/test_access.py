"""Who may ask the service, and for what."""

import pytest
import requests
import servers
from serving import connected, leaf, raw, sent, upload, written

pytestmark = pytest.mark.alone


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
    there = requests.get(f"{address}/api/detector", headers={"Host": "evil.example"}, timeout=60)
    assert there.status_code == 400
    assert requests.put(f"{address}/api/predict", timeout=60).status_code == 405
    connected(address, upload(1000), b"PNG").close()  # the body never comes
    assert sent(address, written(leaf())).ok


def test_elsewhere_only_the_token_opens(inside):
    address = inside(token="secret")
    assert requests.get(address, timeout=60).ok  # the page says nothing of the detector
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
        for said in (
            requests.get(f"{address}/api/detector", headers=headers, timeout=60),
            sent(address, written(leaf()), headers=headers),
        ):
            assert (said.status_code, "token" in said.json()["detail"]) == (401, True)
    assert requests.get(f"{address}/health", timeout=60).json() == {"status": "ok"}
    assert sent(address, written(leaf()), headers={"Authorization": "Bearer secret"}).ok


def test_an_empty_token_is_none(attending, tmp_path):
    open_to_all, log = ["--host", "0.0.0.0", "--token", ""], tmp_path / "log"
    with servers.detector(attending.root, log, *open_to_all, LEANET_TOKEN=" ") as (address, _):
        assert requests.get(f"{address}/api/detector", timeout=60).status_code == 401
        made = {"Authorization": f"Bearer {log.read_text().partition('#')[2].strip()}"}
        assert requests.get(f"{address}/api/detector", headers=made, timeout=60).ok


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
        requests.get(f"{address}/api/detector", headers=text, timeout=60),
        sent(address, written(leaf()), headers=text),
    ):
        assert said.status_code == 403
        assert said.json()["detail"].startswith("a page of another site asks")
    assert requests.get(address, headers=text, timeout=60).ok  # a link may lead to the page


def test_its_own_page_may_ask_also_behind_a_proxy(address):
    for headers in (
        {"Origin": address},
        {"Origin": address, "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://proxy.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert sent(address, written(leaf()), headers=headers).ok


@pytest.mark.parametrize("place", ["taken", "70000", "nowhere.invalid"])
def test_where_it_cannot_listen_is_one_line(attending, address, place):
    port = {"taken": address.rpartition(":")[2]}.get(place, place)
    where = ["--host", place] if "." in place else ["--port", port]
    done = attending.run("python", "-m", "leanet", "serve", *where)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"{where[0]} {where[1]}" in done.stderr
