"""Images of a bucket, judged by workers of Ray into one Parquet data set: each once, whoever is killed."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import servers
from PIL import Image

from leanet import cli as command_line
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.detector import Detector
from leanet.images import leaf
from leanet.run import nodes

pytestmark = pytest.mark.alone

ray = pytest.importorskip("ray", reason="Ray is not installed")
fsspec = pytest.importorskip("fsspec")

COUNT = 30
ABSENT = "s3://team/new/gone.png"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a cluster of two cores, that knows an S3 server with a bucket `team`."""
    from ray.cluster_utils import Cluster

    # Workers get what is defined here by value: they have no tests.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with servers.s3(tmp_path_factory.mktemp("s3") / "log") as store, pytest.MonkeyPatch.context() as patch:
        for name, value in (servers.CREDENTIALS | {"AWS_ENDPOINT_URL": store}).items():
            patch.setenv(name, value)
        cluster = Cluster(head_node_args={"num_cpus": 2, "object_store_memory": 80 * 2**20}, initialize_head=True)
        yield cluster.address
        cluster.shutdown()


@pytest.fixture(scope="module")
def detector(attending, folder, tmp_path_factory) -> Path:
    """One whose threshold lies among the scores of these images, far from each."""
    copy = tmp_path_factory.mktemp("detector") / "detector"
    shutil.copytree(attending.root / paths.DETECTOR, copy)
    facts = json.loads((copy / paths.FACTS).read_text())
    scores = np.sort(Detector.load(copy, "cpu").predict(sorted(folder.glob("*/*.png"))).scores)
    gap = 1 + int(np.diff(np.log(scores[1:-1])).argmax())
    facts["threshold"]["value"] = float(np.sqrt(scores[gap] * scores[gap + 1]))
    (copy / paths.FACTS).write_text(json.dumps(facts))
    return copy


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Leaves in too bright a light, in two folders, and files that are none."""
    root = tmp_path_factory.mktemp("images") / "new"
    draw = np.random.default_rng(0)
    for number in range(COUNT):
        file = root / str(number % 2) / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image = leaf.draw(draw, 48, anomalous=number % 5 == 0).image
        Image.fromarray(255 - (255 - image) // 3).save(file)
    (root / "text.jpg").write_text("hello")
    (root / "notes.txt").write_text("hello")
    (root / "._a.png").write_bytes(b"\0\5\x16\7")  # which a Mac puts beside a.png
    return root


@pytest.fixture(scope="module")
def bucket(cluster, folder) -> str:
    """The address of the same files in the store."""
    fsspec.filesystem("s3", skip_instance_cache=True).put(str(folder), "team", recursive=True)
    return "s3://team/new"


def call(monkeypatch, *arguments: object) -> int:
    """The exit status of `leanet predict`, in this process."""
    monkeypatch.setattr(sys, "argv", ["leanet", "predict", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return ended.value.code


@pytest.fixture(scope="module")
def scored(cluster, bucket, detector):
    """A call that scores the bucket and an image that is gone: its arguments, its status, what it said."""
    from leanet.detector import bucket as module

    below = module._below
    arguments = bucket, "--out", "s3://team/scores", "--detector", detector
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_below", lambda name: pa.concat_arrays([below(name), pa.array([ABSENT])]))
        patch.setattr(sys, "stderr", io.StringIO())
        status = call(patch, *arguments, "--cluster", cluster)
        return arguments, status, sys.stderr.getvalue()


def test_scores_are_those_of_the_plain_command(scored, folder, detector):
    table = pd.read_parquet("s3://team/scores").set_index("file")
    files = sorted(folder.glob("*/*.png"))
    judged = Detector.load(detector, "cpu").predict(files)
    rows = table.loc[[f"s3://team/new/{file.relative_to(folder)}" for file in files]]
    np.testing.assert_allclose(rows["score"], judged.scores, rtol=1e-5)
    assert rows["anomalous"].tolist() == judged.labels.tolist()
    assert 0 < sum(judged.labels) < COUNT
    statistics = rows[["lightness", "chroma", "map_mean", "map_p99"]]
    np.testing.assert_allclose(statistics, judged.statistics, rtol=1e-4)
    assert rows["error"].isna().all()


def test_what_cannot_be_read_is_a_row_with_a_reason(scored):
    table = pd.read_parquet("s3://team/scores").set_index("file")
    assert len(table) == COUNT + 2
    broken = table[table["error"].notna()]
    assert broken["error"][ABSENT] == "no such file"
    assert broken["error"]["s3://team/new/text.jpg"].startswith("cannot be decoded as an image (no JPEG, PNG")
    assert broken[["score", "anomalous", "map_p99"]].isna().all(axis=None)


def test_drift_is_told_at_the_end(scored):
    _, status, said = scored
    assert status == 3
    assert "warning: these images are not of the kind that the detector knows: lightness" in said
    anomalous = int(pd.read_parquet("s3://team/scores")["anomalous"].sum())
    assert said.splitlines()[-1] == f"{COUNT} images judged, {anomalous} anomalous, 2 unreadable"


def test_what_was_scored_is_not_scored_again(scored, monkeypatch, capsys):
    arguments, status, before = scored
    monkeypatch.setattr(nodes, "join", None)
    assert call(monkeypatch, *arguments) == status
    said = capsys.readouterr().err
    assert f"{COUNT + 1} of {COUNT + 1} images were scored before\n" in said
    assert said.splitlines()[-1] == before.splitlines()[-1]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (["--criterion", "recall 0.9"], "the threshold of the scores there is"),
        (["--prevalence", "0.01"], "the prevalence of the scores there is that of the training images, and would"),
        (["--detector", "{ensemble}"], "the detector of the scores there is"),
    ],
)
def test_scores_that_rest_on_something_else_stay_apart(scored, ensemble, monkeypatch, other, said):
    arguments, *_ = scored
    filled = [each.format(ensemble=ensemble.root / paths.DETECTOR) for each in other]
    line = call(monkeypatch, *arguments, *filled)
    assert line.startswith(f"leanet: --out s3://team/scores: {said}")
    assert line.endswith("; name another place")


def rows_of(place: Path) -> Counter:
    return Counter(pd.read_parquet(place, columns=["file"])["file"])


def dying(marker: Path) -> type:
    """A worker that is killed once, when it has judged the image 07 and before it can say so."""
    from leanet.detector.judge import Judge

    class Dying(Judge):
        def __call__(self, block: pa.Table) -> pa.Table:
            rows = super().__call__(block)
            if any(name.endswith("07.png") for name in block["file"].to_pylist()) and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return rows

    return Dying


def test_a_worker_that_is_killed_costs_its_block_alone(cluster, bucket, detector, tmp_path, monkeypatch):
    from leanet.detector import bucket as module

    monkeypatch.setattr(module, "BLOCK", 4)
    monkeypatch.setattr(module, "Judge", dying(tmp_path / "killed"))
    arguments = "--out", tmp_path / "scores", "--detector", detector, "--cluster", cluster
    assert call(monkeypatch, bucket, *arguments) == 3
    assert (tmp_path / "killed").exists()
    assert set(rows_of(tmp_path / "scores").values()) == {1}
    assert len(rows_of(tmp_path / "scores")) == COUNT + 1


DRIVER = """
import os, signal
from leanet import cli
from leanet.detector import bucket, table

class Dying(table.Table):
    def add(self, rows):
        super().add(rows)
        if len(self._names()) > 2 and self._rows:  # an empty one, two with rows; some more are not written yet
            os.kill(os.getpid(), signal.SIGKILL)

# Parts by their number of rows alone: a busy machine is slow.
bucket.Table, bucket.BLOCK, table.ROWS, table.SECONDS = Dying, 3, 6, float("inf")
cli.main()
"""


def test_a_driver_that_is_killed_goes_on_where_it_stopped(
    cluster, bucket, detector, tmp_path, monkeypatch, capsys
):
    place = tmp_path / "scores"
    arguments = bucket, "--out", place, "--detector", detector, "--cluster", cluster
    command = [sys.executable, "-c", DRIVER, "predict", *map(str, arguments)]
    driver = subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert driver.returncode == -signal.SIGKILL
    before, parts = rows_of(place), set(place.iterdir())
    assert 12 <= len(before) < COUNT
    assert call(monkeypatch, *arguments) == 3
    assert f"{len(before)} of {COUNT + 1} images were scored before\n" in capsys.readouterr().err
    assert set(rows_of(place).values()) == {1}
    assert len(rows_of(place)) == COUNT + 1
    assert parts < set(place.iterdir())


def test_a_store_that_no_longer_answers_stops_the_run_by_one_line(
    cluster, folder, detector, tmp_path, monkeypatch
):
    from leanet.detector import bucket as module

    monkeypatch.setattr(module, "_below", lambda _: pa.array(["http://127.0.0.1:9/a.png"]))
    arguments = "--out", tmp_path / "scores", "--detector", detector, "--cluster", cluster
    line = call(monkeypatch, folder, *arguments)
    assert line.startswith("leanet: http://127.0.0.1:9/a.png cannot be fetched (ClientConnectorError: ")


def test_what_one_image_cannot_be_fetched_for_is_told_from_what_none_can(monkeypatch):
    from leanet.detector import judge

    class Store:
        def cat_file(self, path):
            raise TimeoutError if path == "slow/a.png" else PermissionError("Forbidden")

        def info(self, path):
            if path == "expired":
                raise PermissionError("The provided token has expired")

    monkeypatch.setattr(judge.fsspec, "url_to_fs", lambda address: (Store(), address))
    assert judge._fetch("private/a.png") == "no permission to read it (Forbidden)"
    with pytest.raises(InputError, match="slow/a.png cannot be fetched"):
        judge._fetch("slow/a.png")
    with pytest.raises(InputError, match="expired/a.png cannot be fetched .* token has expired"):
        judge._fetch("expired/a.png")


def test_what_no_table_can_hold_or_no_worker_can_read_is_one_line(tmp_path):
    from leanet.detector import bucket as module
    from leanet.detector import judge

    (tmp_path / "a.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    assert judge._fetch(str(tmp_path / "pipe.png")) == "it is no regular file"
    assert judge._fetch(str(tmp_path / "gone.png")) == "no such file"
    assert judge._fetch(f"file://{tmp_path}/a.png") == b""
    assert len(module._below(str(tmp_path))) == 2
    (tmp_path / "caf\udce9.png").touch()
    with pytest.raises(InputError, match=r"caf\\udce9.png: its name is no UTF-8, as a table needs; rename it"):
        module._below(str(tmp_path))


def test_no_password_is_in_the_table(detector, monkeypatch):
    from leanet.detector import bucket as module
    from leanet.detector import judge

    class Store:
        def cat_file(self, address):
            raise PermissionError(f"Forbidden: {address}")

        def info(self, _):
            pass

    addresses = pa.array(["https://me:secret@host/a.png", "https://host/b@2x.png"])
    shown = ["https://host/a.png", "https://host/b@2x.png"]
    assert module._shown(addresses).to_pylist() == shown
    assert module._shown(addresses[1:]).to_pylist() == shown[1:]
    monkeypatch.setattr(judge.fsspec, "url_to_fs", lambda address: (Store(), address))
    monkeypatch.setattr(judge.ray, "get", lambda files: files)
    files = {file.name: file.read_bytes() for file in detector.iterdir()}
    threshold = Detector.load(detector, "cpu").threshold
    rows = judge.Judge(files, "cpu", threshold, None)(pa.table({"file": addresses}))
    assert rows["file"].to_pylist() == shown
    assert rows["error"].to_pylist() == [f"no permission to read it (Forbidden: {each})" for each in shown]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("s3://nowhere/new --out {tmp}/new", "s3://nowhere/new: The specified bucket does not exist"),
        ("s3://team/none --out {tmp}/new", "s3://team/none: no image there; looked for .bmp"),
        ("what://team --out {tmp}/new", "what://team: Protocol not known: what"),
        ("{bucket} --out {tmp}/a.txt --cluster {cluster}", "--out {tmp}/a.txt: [Errno 17] File exists"),
        ("{bucket} --out s3://nowhere/a --cluster {cluster}", "--out s3://nowhere/a: The specified bucket does"),
        ("{bucket} --out {tmp}/foreign", "--out {tmp}/foreign: {tmp}/foreign/a.parquet is no part of a table"),
        ("{bucket} --out {tmp}/torn", "--out {tmp}/torn: {tmp}/torn/a.parquet is no part of a table"),
        ("{bucket} --out {tmp}/new --cluster {cluster} --workers 3", "--workers 3: each wants a CPU, and the"),
        ("{bucket} --out {tmp}/new --cluster {cluster} --workers 0", "--workers 0: each wants a CPU, and the"),
        ("{bucket} --out {tmp}/new --cluster {cluster} --device cuda", "--workers 1: each wants a GPU, and the"),
        ("{bucket} --out {tmp}/new --cluster 127.0.0.1:9", "--cluster: no Ray cluster answers at 127.0.0.1:9"),
        ("{bucket} --out {tmp}/new --cluster ray://a:1", "--cluster ray://a:1: Ray Data works from within"),
        ("{bucket} --out {tmp}/new --format csv", "--format does not go with --out"),
        ("a.png --workers 2", "--workers needs --out"),
        ("s3://key:secret@team/new --out {tmp}/new", "s3://team/new: "),
        ("{bucket} --out s3://key:secret@team/new", "--out s3://team/new: "),
        ("ftp://me:secret@127.0.0.1:9/new --out {tmp}/new", "ftp://127.0.0.1:9/new: "),
        ("https://me:secret@127.0.0.1:9/new --out {tmp}/new", "https://127.0.0.1:9/new: "),
        ("https://me:secret@host/new", "https://host/new: images at an address need"),
        ("{bucket} --out {tmp}/new --cluster ray://me:secret@a:1", "--cluster ray://a:1: Ray Data works"),
        ("{bucket}", "{bucket}: images at an address need --out PLACE"),
    ],
)
def test_what_cannot_be_is_one_line_before_any_work(
    cluster, bucket, detector, tmp_path, monkeypatch, capsys, arguments, said
):
    (tmp_path / "a.txt").touch()
    for name in ("foreign", "torn"):
        (tmp_path / name).mkdir()
    pd.DataFrame({"file": ["a"]}).to_parquet(tmp_path / "foreign/a.parquet")
    (tmp_path / "torn/a.parquet").write_bytes(b"PAR1")
    given = {"tmp": tmp_path, "bucket": bucket, "cluster": cluster}
    line = call(monkeypatch, *arguments.format(**given).split(), "--detector", detector)
    assert line.startswith(f"leanet: {said.format(**given)}")
    assert "\n" not in line
    assert "secret" not in line
    assert "predict: " not in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("missing", ["ray", "pyarrow", "fsspec"])
def test_what_is_not_installed_is_one_line(missing, monkeypatch):
    for name in [*filter(lambda name: name.startswith("leanet.detector."), sys.modules)]:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(sys.modules["leanet.detector"], name.rpartition(".")[2])
    monkeypatch.setitem(sys.modules, missing, None)
    line = call(monkeypatch, "s3://team/new", "--out", "scores")
    assert (
        line
        == f"leanet: predict needs {missing}, which is not installed: pip install '.[bucket]' in leanet's folder"
    )
