"""Jobs: what is kept of them and for whom, here and side by side."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import ResNet18_Weights

from leanet.attention.adn import imagenet_weights
from leanet.core import device as devices
from leanet.core import paths
from leanet.core.arrays import ArrayFile
from leanet.core.errors import InputError
from leanet.core.progress import Progress
from leanet.run import kept, local
from leanet.run.settings import Execution
from leanet.run.trainings import figures, run
from leanet.training import sealed
from leanet.training.job import Epoch, Job, Outcome

HERE = Execution(workers=1)
GIB = 2**30
FACTS = {"device": "cpu", "precision": "torch.float32", "images_trained": 3}


def total(arrays, place, **settings):
    """A job that notes that it was done: the sum of its numbers, times a factor."""
    with Path(settings["log"]).open("a") as log:
        log.write(f"{settings['factor']} {os.getpid()}\n")
    if settings["factor"] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if settings["factor"] == "diverges":
        raise InputError("the training loss is nan in epoch 1")
    if settings["factor"] == "fills the disk":
        raise OSError(28, "No space left on device")
    place.on_epoch(Epoch(1, 0.5, 0.001, 100.0))
    product = settings["factor"] * arrays["numbers"][:].sum(keepdims=True)[0]
    return Outcome({"sum": product}, FACTS | {"device": str(place.device)})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def jobs(*factors, numbers=(1, 2, 3)) -> list[Job]:
    numbers, log = np.array(numbers)[:, None], str(Path("log").absolute())
    arrays, how = {"numbers": numbers}, {"epochs": 2, "shapes": {"sum": (1,)}}
    return [Job({"factor": f}, total, arrays, {"factor": f, "log": log}, **how) for f in factors]


def done() -> list[str]:
    """The factors of the jobs that were really done."""
    return [line.split()[0] for line in Path("log").read_text().splitlines()]


def sums(outcomes) -> list[int]:
    return [int(outcome.arrays["sum"][0]) for outcome in outcomes]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_ended_is_never_done_again_and_what_is_new_is(folder, workers, capsys):
    where = replace(HERE, workers=workers)
    assert sums(run(jobs(1, 2), where, device="cpu", address="train@a")) == [6, 12]
    assert sums(run(jobs(3, 2, 1), where, device="cpu", address="train@a")) == [18, 12, 6]
    assert sorted(done()) == ["1", "2", "3"]
    assert "train@a: 2 of 3 trainings are there from before" in capsys.readouterr().err
    assert sums(run(jobs(3, 2, numbers=(1, 2, 4)), where, device="cpu", address="train@a")) == [21, 14]
    assert len(done()) == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_each_epoch_is_told_as_it_ends_and_counted_once(folder, workers, monkeypatch):
    """Here jobs tell of one epoch, and take two at most."""
    told = []
    step = Progress.step
    monkeypatch.setattr(
        Progress, "step", lambda self, n=1, /, **said: (told.append((n, said)), step(self, n, **said))
    )
    run(jobs(1, 2, 3), replace(HERE, workers=workers), device="cpu", address="train")
    assert sorted(said["factor"] for _, said in told if said.get("loss") == "0.50000") == [1, 2, 3]
    assert sum(n for n, _ in told) == 3 * 2


def test_side_by_side_is_in_other_processes(folder):
    run(jobs(1, 2, 3, 4), replace(HERE, workers=2), device="cpu", address="train")
    processes = {line.split()[1] for line in Path("log").read_text().splitlines()}
    assert str(os.getpid()) not in processes
    assert len(processes) <= 2


def looks(arrays, place, **settings):
    """A job that says where it is, and computes on all the threads that it has."""
    total = torch.ones(2000, 1000).sum()
    facts = FACTS | {"parent": os.getppid(), "folder": os.getcwd(), "threads": torch.get_num_threads()}
    return Outcome({"sum": total.numpy()}, facts)


def test_side_by_side_each_is_where_its_stage_is_with_its_own_threads(tmp_path, monkeypatch):
    parents = set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        both = [replace(job, function=looks) for job in jobs(1, 2)]
        for outcome in run(both, Execution(workers=2, cpus=2), device="cpu", address="train"):
            assert outcome.arrays["sum"] == 2_000_000
            assert outcome.facts["folder"] == str(tmp_path / name)
            assert outcome.facts["threads"] == 2
            parents.add(outcome.facts["parent"])
    if sys.platform == "linux":  # of one process that has loaded torch once for all
        assert len(parents) == 1
        assert parents != {os.getpid()}


def test_results_are_the_same_bits_by_any_number_of_workers(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    results = {}
    for workers in (1, 3):
        project.edit("execution.workers", workers)
        shutil.rmtree(project.root / "data/kept")
        for stage in ("train_unet leaf", "train_leanet leaf cnn-direct"):
            done = project.run("python", "-m", *f"stages.{stage}".split())
            assert done.returncode == 0, done.stderr
        files = [*project.root.glob("data/unet/leaf/*"), *project.root.glob("data/cv/leaf/cnn-direct/*.csv")]
        kept = project.root.glob("data/kept/*.weights.safetensors")
        results[workers] = {file.relative_to(project.root): file.read_bytes() for file in (*files, *kept)}
    assert len(results[1]) > 2 + 4
    assert results[1] == results[3]


def waits(arrays, place, **settings):
    """A job that says that it has begun, and never ends."""
    Path(settings["log"]).with_name(f"begun {os.getpid()}").touch()
    time.sleep(600)


STAGE = """
import signal
import sys
from dataclasses import replace
from test_execution import Execution, jobs, run, waits
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
    both = [replace(job, function=waits) for job in jobs(1, 2)]
    try:
        run(both, Execution(workers=2), device="cpu", address="train")
    except KeyboardInterrupt:
        sys.exit("interrupted")
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_stage(folder, stop):
    (folder / "stage.py").write_text(STAGE)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    # In a session of its own, to be interrupted as from a terminal: all of its processes are.
    stage = subprocess.Popen(
        [sys.executable, "stage.py"], env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        while len(list(folder.glob("begun *"))) < 2:
            assert stage.poll() is None, stage.stderr.read()
            time.sleep(0.02)
        os.kill(stage.pid, stop) if stop == signal.SIGKILL else os.killpg(stage.pid, stop)
        _, said = stage.communicate(timeout=600)  # until the last process of its session has closed stderr
    except subprocess.TimeoutExpired:
        os.killpg(stage.pid, signal.SIGKILL)
        raise
    assert ("Traceback" in said, "interrupted" in said) == (False, stop == signal.SIGINT)


@pytest.mark.parametrize(
    ("said", "cores", "free", "each", "count", "line"),
    [
        ({}, 4, 8 * GIB, GIB, 4, "4 trainings at a time"),
        ({}, 16, 8 * GIB, GIB, 5, "5 trainings at a time"),  # there are five
        ({"cpus": 2}, 4, 8 * GIB, GIB, 2, "2 trainings at a time"),
        ({"cpus": 8}, 4, 8 * GIB, GIB, 1, ""),
        ({}, 1, 8 * GIB, GIB, 1, ""),
        (
            {},
            4,
            2.1 * GIB,
            0.6 * GIB,
            3,
            "3 trainings at a time: memory has room for no more (2.1 GiB free, 0.6 each)",
        ),
        ({}, 4, 0.5 * GIB, GIB, 1, "1 training at a time: memory has room for no more (0.5 GiB free, 1.0 each)"),
        ({}, 4, -GIB, GIB, 1, "1 training at a time: memory has room for no more (-1.0 GiB free, 1.0 each)"),
        ({}, 4, None, GIB, 4, "4 trainings at a time"),
        ({}, 4, GIB, 0, 4, "4 trainings at a time"),
        ({"workers": 3}, 2, GIB, GIB, 3, "3 trainings at a time"),
    ],
)
def test_a_training_has_a_core_and_memory(monkeypatch, capsys, said, cores, free, each, count, line):
    monkeypatch.setattr(local, "cores", lambda: cores)
    monkeypatch.setattr(local, "free_memory", lambda: free and int(free))
    five = [replace(job, memory=int(each) // (1 + at)) for at, job in enumerate(jobs(1, 2, 3, 4, 5))]
    assert local.at_a_time(Execution(**said), five, "cpu", "train@a") == count
    assert capsys.readouterr().err == (f"train@a: {line}\n" if line else "")


def test_a_gpu_has_one_training(monkeypatch):
    monkeypatch.setattr(devices, "select", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [local.at_a_time(Execution(), jobs(*range(8)), kind, "train") for kind in ("cuda", "mps")] == [3, 1]


@pytest.mark.parametrize("at", [9, 100, 65700, -5])
def test_a_damaged_outcome_is_found_and_computed_again(folder, capsys, at):
    run(jobs(1), HERE, device="cpu", address="train")
    (file,) = paths.KEPT.glob("*.safetensors")
    damaged = bytearray(file.read_bytes())
    damaged[at] ^= 1
    file.write_bytes(damaged)
    assert sums(run(jobs(1), HERE, device="cpu", address="train")) == [6]
    assert f"{file} is damaged" in capsys.readouterr().err
    assert done() == ["1", "1"]
    assert file.read_bytes() != damaged


OTHERS = [  # arrays and facts of other kinds than the job's, as if it had kept them
    *(({"sum": np.array([6])}, facts) for facts in ([], None, "facts", {}, FACTS | {"device": 5})),
    *(({"sum": np.array([6])}, FACTS | {"images_trained": x}) for x in ("3", True, -1, 0.5, None, [3])),
    *(
        (arrays, FACTS)
        for arrays in ({}, {"sum": np.array(6)}, {"sum": np.array([np.nan])}, {"total": np.array([6])})
    ),
]


@pytest.mark.parametrize("other", OTHERS, ids=range(len(OTHERS)))
def test_an_outcome_that_was_altered_with_its_sum_is_computed_again(folder, capsys, other):
    run(jobs(1), HERE, device="cpu", address="train")
    (file,) = paths.KEPT.glob("*.safetensors")
    sealed.write(file, *other)
    outcomes = run(jobs(1), HERE, device="cpu", address="train")
    assert sums(outcomes) == [6]
    assert figures(outcomes) == {"device": "cpu", "precision": "torch.float32", "images_trained": 3}
    assert re.search(f"warning: {file} (is damaged|holds something else than factor 1)", capsys.readouterr().err)
    assert done() == ["1", "1"]


def resumes(arrays, place, **settings):
    """A job that goes on from what is kept of it."""
    kept_ = place.checkpoint.load()
    with Path(settings["log"]).open("a") as log:
        log.write(f"{'goes on' if kept_ else 'anew'}\n")
    total = torch.zeros(1, dtype=torch.int64) if kept_ is None else kept_[0]["total"] * kept_[1]["times"]
    return Outcome({"sum": total.numpy() + 6}, FACTS)


STATES = {
    "good": ({"total": np.array([0])}, {"times": 2, "saved": 1}, ["goes on"]),
    "no time": ({"total": np.array([0])}, {"times": 2}, ["anew"]),
    "a time that is none": ({"total": np.array([0])}, {"times": 2, "saved": "now"}, ["goes on"]),
    "facts that are none": ({"total": np.array([0])}, [], ["anew"]),
    "another tensor": ({"other": np.array([0])}, {"times": 2, "saved": 1}, ["goes on", "anew"]),
    "another fact": ({"total": np.array([0])}, {"times": [2], "saved": 1}, ["goes on", "anew"]),
    "another shape": ({"total": np.zeros((1, 2), int)}, {"times": 2, "saved": 1}, ["goes on", "anew"]),
    "numbers that torch has not": ({"total": np.zeros(1, np.uint16)}, {"times": "2", "saved": 1}, ["anew"]),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_that_was_altered_with_its_sum_is_begun_anew(folder, capsys, state):
    arrays, facts, said = STATES[state]
    (job,) = (replace(job, function=resumes) for job in jobs(1))
    Path("log").touch()
    for file in kept.checkpoint(kept.keys([job])[0]).files:
        sealed.write(file, arrays, facts)
    assert sums(run([job], HERE, device="cpu", address="train")) == [6]
    assert Path("log").read_text().splitlines()[-1] == said[-1]
    warned = re.search("begins anew|is damaged", capsys.readouterr().err)
    assert bool(warned) == (said[-1] == "anew")


class Planted:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("ran").absolute(),)


def test_what_a_kill_leaves_after_a_training_has_ended_is_dropped(folder):
    run(jobs(1), HERE, device="cpu", address="train")
    (left, _) = kept.checkpoint(*kept.keys(jobs(1))).files
    left.touch()
    run(jobs(1), HERE, device="cpu", address="train")
    assert not left.exists()


def begins_with_weights(arrays, place, **settings):
    """A job that begins with weights of ImageNet."""
    torch.hub.set_dir(settings["hub"])
    return Outcome({"sum": np.array([len(imagenet_weights("resnet18"))])}, FACTS)


@pytest.mark.parametrize("workers", [1, 2])
def test_weights_of_imagenet_are_not_unpickled(folder, monkeypatch, workers):
    checkpoints = folder / "torch/hub/checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save({"weight": Planted()}, checkpoints / ResNet18_Weights.DEFAULT.url.rpartition("/")[2])
    monkeypatch.setattr(torch.hub, "_hub_dir", None)  # without workers it is set in this process
    hub = {"hub": str(folder / "torch/hub")}  # workers may have begun with another environment
    both = [replace(job, function=begins_with_weights, settings=job.settings | hub) for job in jobs(1, 2)]
    with pytest.raises(InputError, match=f"factor .: a file in {checkpoints} holds more than weights"):
        run(both, replace(HERE, workers=workers), device="cpu", address="train")
    assert not Path("ran").exists()


@pytest.mark.parametrize("text", ["", "{}", "[5]", '["../../x"]', "5", "[" * 100_000, "\xff", '["a", null]'])
def test_a_list_of_keys_that_is_none_is_one_line_and_nothing_is_removed(folder, text):
    run(jobs(1), HERE, device="cpu", address="train@a")
    before = sorted(paths.KEPT.iterdir())
    (paths.KEPT / "train@a.json").write_text(text)
    with pytest.raises(InputError, match=f"{paths.KEPT}/train@a.json: expected a list of keys"):
        kept.prune(["train@a"])
    assert sorted(paths.KEPT.iterdir()) == before


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("factor", "said"),
    [
        ("diverges", "factor diverges: the training loss is nan"),
        ("fills the disk", "factor fills the disk: no space left on the disk of"),
    ],
)
def test_a_job_that_fails_says_which_and_the_others_are_kept(folder, workers, factor, said):
    with pytest.raises(InputError, match=said):
        run(jobs(1, factor), replace(HERE, workers=workers), device="cpu", address="train")
    if workers == 1:  # else the first may still have been under way
        assert sums(run(jobs(1), HERE, device="cpu", address="train")) == [6]
        assert done().count("1") == 1


def test_a_process_that_is_killed_is_one_line(folder):
    with pytest.raises(InputError, match="lower execution.workers; `dvc repro` goes on"):
        run(jobs("dies", 1), replace(HERE, workers=2), device="cpu", address="train")


def test_the_key_is_of_all_that_a_job_depends_on(folder):
    np.save("numbers.npy", np.array([[1], [2], [3]]))
    one = jobs(1)[0]

    def key_of(job):
        return kept.keys([job])[0]

    same = [
        jobs(1)[0],
        replace(one, name={"called": "otherwise"}),
        replace(one, arrays={"numbers": ArrayFile(Path("numbers.npy"))}),
        replace(one, memory=2**30),
        replace(one, epochs=3),  # how many there were at most is among the settings of every training
    ]
    other = [
        jobs(2)[0],
        jobs(1, numbers=(1, 2, 4))[0],
        jobs(1, numbers=(1.0, 2.0, 3.0))[0],
        jobs(1, numbers=((1, 2, 3),))[0],
        replace(one, arrays={"number": one.arrays["numbers"]}),
        replace(one, function=sums),
    ]
    assert {key_of(job) for job in same} == {key_of(one)}
    assert len({key_of(job) for job in (one, *other)}) == 1 + len(other)


def test_prune_removes_what_no_named_stage_needs(folder):
    for address, factors in (("train@a", (1, 2)), ("train@b", (2, 3)), ("train@gone", (4,))):
        run(jobs(*factors), HERE, device="cpu", address=address)
    run(jobs(5, 2), HERE, device="cpu", address="train@a")
    cut_off = kept.checkpoint("cut off")
    cut_off.save({}, {})
    cut_off.wait()
    files, size = kept.prune(["train@a", "train@b"])
    assert files == 4  # the outcomes 1 and 4, what was cut off, and the list of train@gone
    assert size > 0
    run(jobs(5, 2, 3), HERE, device="cpu", address="train@a")
    assert done() == ["1", "2", "3", "4", "5"]
    run(jobs(1, 4), HERE, device="cpu", address="train@a")
    assert done() == ["1", "2", "3", "4", "5", "1", "4"]


def test_a_file_is_there_whole_or_not_at_all(folder, monkeypatch):
    sealed.write(Path("a"), {"x": np.arange(3)}, {"n": 1})

    def full(self, data):
        with self.open("wb") as stream:
            stream.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        sealed.write(Path("a"), {"x": np.arange(4)}, {"n": 2})
    arrays, facts = sealed.read(Path("a"))
    assert (arrays["x"].tolist(), facts) == ([0, 1, 2], {"n": 1})
    assert list(Path().iterdir()) == [Path("a")]


def test_strides_and_shapes_come_back(folder):
    turned = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)
    for write in (sealed.write, lambda *what: sealed.overwrite(*what, sync=False)):
        write(Path("a"), {"turned": turned, "scalar": np.array(3.0), "empty": np.zeros((0, 2))}, {})
        arrays, _ = sealed.read(Path("a"))
        assert np.array_equal(arrays["turned"], turned)
        assert (arrays["scalar"].shape, arrays["empty"].shape) == ((), (0, 2))


def test_overwriting_takes_other_facts_and_other_shapes(folder):
    file = Path("a")
    for arrays, facts in (
        ({"x": np.arange(3.0)}, {"n": 1}),
        ({"x": np.arange(3.0) + 1}, {"n": 2, "more": "x" * 70_000}),
        ({"x": np.arange(3.0) + 1}, {"n": 3}),
        ({"x": np.arange(4.0)}, {"n": 4}),
        ({"y": np.arange(4.0)}, {"n": 5}),
    ):
        sealed.overwrite(file, arrays, facts, sync=True)
        found, said = sealed.read(file)
        assert said == facts
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays | found)
