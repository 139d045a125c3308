"""Jobs on a Ray cluster of three nodes, on this machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from leanet.attention.cells import Cell, jobs
from leanet.cli.params import load
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.images import imageset
from leanet.run import cluster as module
from leanet.run import kept, live
from leanet.run.settings import Execution
from leanet.run.trainings import run
from leanet.training.job import Epoch, Job, Outcome

pytestmark = pytest.mark.alone

ray = pytest.importorskip("ray", reason="Ray is not installed")
ME = os.getuid()
ONE_CORE = Execution(workers=1)  # rounding depends on how many share a sum


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    # Workers get what is defined here by value: they have no tests.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=small)
    cluster.lost = [cluster.add_node(**small) for _ in range(2)]
    yield cluster
    cluster.shutdown()


@pytest.fixture(autouse=True)
def threads():
    """Those of the other tests' trainings stay as they were."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def there(cluster) -> Execution:
    return replace(ONE_CORE, engine="ray", address=cluster.address)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def note(arrays, place, **settings):
    """A job that notes on disk that it begins, and where; the first time it does as `first` says."""
    log = Path(settings["log"])
    begun = settings["number"] in [int(line.split()[0]) for line in log.read_text().splitlines()]
    with log.open("a") as stream:
        stream.write(f"{settings['number']} {os.getpid()} {ray.get_runtime_context().get_node_id()}\n")
    if not begun and settings["first"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if settings["first"] == "fail":
        raise InputError("the training loss is nan")
    time.sleep(settings["seconds"])
    facts = {"device": "cpu", "precision": "torch.float32", "images_trained": 1}
    return Outcome({"double": 2 * arrays["numbers"][settings["number"]]}, facts)


def notes(log: Path, count: int, first: str = "", seconds: float = 0) -> list[Job]:
    log.touch()
    numbers = np.arange(count * 2).reshape(count, 2)
    settings = {"log": str(log), "first": first, "seconds": seconds}
    return [Job({"number": i}, note, {"numbers": numbers}, {"number": i, **settings}, 1) for i in range(count)]


def begun(log: Path) -> list[int]:
    return [int(line.split()[0]) for line in log.read_text().splitlines()]


def doubles(outcomes: list[Outcome]) -> list[list[int]]:
    return [outcome.arrays["double"].tolist() for outcome in outcomes]


EXPECTED = [[4 * i, 4 * i + 2] for i in range(6)]


def test_what_is_told_is_given_again_until_the_driver_has_it():
    told = module._Told()
    first, second = ("a", Epoch(1, 0.7, 0.001, 80.0)), ("b", Epoch(1, 0.6, 0.001, 80.0))
    told.say(*first)
    assert told.but([]) == told.but([]) == [first]
    told.say(*second)
    assert told.but([first]) == [second]
    assert told.but([second]) == []


def test_trainings_come_to_the_same_there_as_here(finished, there, tmp_path, monkeypatch):
    project = finished.copy(tmp_path / "project")
    monkeypatch.chdir(project.root)
    params = load()
    data = imageset.load(paths.split("leaf"))
    maps = {fold: imageset.load_maps(paths.maps("leaf"), fold, data) for fold in data.folds}
    cells = [Cell(fold, point) for fold in data.folds for point in (1, 5)]
    how = {"recipe": params.recipe, "precision": params.precision, "detector_folds": data.folds}
    trainings = jobs("cnn-direct", cells, data, maps, params.train_leanet, **how)
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setenv("LEANET_TRACKING", "on")
    monkeypatch.setattr(live, "SHORT", 10**6)  # nobody reads what is said
    results = []
    for settings in (ONE_CORE, there):
        kept.prune([])
        live.file("train").unlink(missing_ok=True)
        outcomes = run(trainings, settings, device="cpu", address="train", weights=True)
        results.append(
            [(outcome, kept.weights(key)) for key, outcome in zip(outcomes.keys, outcomes, strict=True)]
        )
        said = [json.loads(line) for line in live.file("train").read_text().splitlines()]
        told = [(line["name"]["fold"], line["name"]["point"], line["number"]) for line in said if "number" in line]
        assert sorted(told) == [(cell.fold, cell.point, epoch) for cell in cells for epoch in (1, 2)]
    for (here, weights_here), (there_, weights_there) in zip(*results, strict=True):
        assert here.facts == there_.facts
        assert weights_here.keys() == weights_there.keys() != set()
        for ours, theirs in ((here.arrays, there_.arrays), (weights_here, weights_there)):
            for name in ours:
                assert np.array_equal(ours[name], theirs[name]), name
    assert len(list(paths.KEPT.glob("*.safetensors"))) == 2 * len(trainings)


def test_workers_stay_for_the_next_job_and_one_that_is_killed_costs_its_own(there, folder):
    trainings = notes(folder / "log", 6, seconds=2)
    trainings[0].settings["first"] = "die"
    assert doubles(run(trainings, there, device="cpu", address="note")) == EXPECTED
    assert sorted(begun(folder / "log")) == [0, *range(6)]
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    assert len({node for _, _, node in lines}) == 3
    assert len({process for _, process, _ in lines}) == 4  # one a node, and one in place of the killed


def test_what_fails_is_one_line_and_not_tried_again(there, folder):
    with pytest.raises(InputError, match=r"^number 0: the training loss is nan$"):
        run(notes(folder / "log", 1, "fail"), there, device="cpu", address="note")
    assert begun(folder / "log") == [0]


DRIVER = """
import sys
import threading
from pathlib import Path
from test_cluster import *
ray.cloudpickle.register_pickle_by_value(sys.modules["test_cluster"])
there = replace(ONE_CORE, engine="ray", address=sys.argv[1])
run(notes(Path("log").absolute(), 6, seconds=3), there, device="cpu", address="note")
"""


def test_a_driver_that_is_killed_finds_again_what_had_ended(there, folder):
    command = [sys.executable, "-c", DRIVER, there.address]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen(command, env=env)
    while not list(paths.KEPT.glob("*.safetensors")):
        assert driver.poll() is None
        time.sleep(0.1)
    driver.kill()
    driver.wait()
    ended = len(list(paths.KEPT.glob("*.safetensors")))
    (folder / "log").write_text("")
    subprocess.run(command, env=env, check=True)
    assert len(begun(folder / "log")) == 6 - ended


def test_a_node_that_is_lost_costs_nothing_but_time(cluster, there, folder):
    """The last test: the cluster is smaller after it."""
    trainings = notes(folder / "log", 6, seconds=3)
    node = cluster.lost.pop()

    def lose():
        while len(begun(folder / "log")) < 3:
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=lose)
    thread.start()
    assert doubles(run(trainings, there, device="cpu", address="note")) == EXPECTED
    thread.join()
    nodes = {line.split()[2] for line in (folder / "log").read_text().splitlines()}
    assert len(nodes) == 3
    assert len(begun(folder / "log")) > 6


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder that all users of a node share."""
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_is_under_way_lies_on_a_node_in_a_folder_of_the_users_own(temporary, monkeypatch):
    (temporary / "leanet").mkdir(mode=0o700)  # of whoever was here first
    for _ in range(2):
        folder = module._under_way()
        assert (folder.parent, folder.stat().st_mode & 0o777) == (temporary, 0o700)
    monkeypatch.setattr(module.os, "getuid", lambda: ME + 1)
    with suppress(InputError):  # it is not really theirs
        module._under_way()
    assert {each.name for each in temporary.iterdir()} == {"leanet", f"leanet-{ME}", f"leanet-{ME + 1}"}


def another_owner(folder, monkeypatch):
    monkeypatch.setattr(module.os, "getuid", lambda: ME + 1)
    folder.with_name(f"leanet-{ME + 1}").mkdir(mode=0o700)


def others_may_write(folder, _):
    folder.mkdir()
    folder.chmod(0o777)


def a_link(folder, _):
    folder.with_name("elsewhere").mkdir(mode=0o700)
    folder.symlink_to("elsewhere")


def a_file(folder, _):
    folder.touch(mode=0o600)


@pytest.mark.parametrize("planted", [another_owner, others_may_write, a_link, a_file])
def test_a_folder_that_others_may_have_planted_weights_in_is_refused(temporary, monkeypatch, planted):
    planted(temporary / f"leanet-{ME}", monkeypatch)
    with pytest.raises(
        InputError, match=f"{temporary}/leanet-.*: expected a folder of this user's alone; remove it"
    ):
        module._under_way()


def test_no_cluster_is_one_line(folder):
    with pytest.raises(InputError, match="execution.address: no Ray cluster answers at 127.0.0.1:9"):
        run(notes(folder / "log", 1), Execution("ray", address="127.0.0.1:9"), device="cpu", address="note")


def test_without_ray_one_line_says_how_to_get_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="pip install 'ray"):
        run(notes(folder / "log", 1), Execution("ray"), device="cpu", address="note")
