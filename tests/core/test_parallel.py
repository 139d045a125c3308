"""Side by side: what a machine has, and the order of results."""

import threading
import time

import pytest
import torch

from leanet.core.device import one_core_a_thread
from leanet.core.parallel import Room, cores, free_memory, in_order

GIB = 2**30


def test_free_memory_is_the_machines_or_its_containers(tmp_path):
    meminfo, group = tmp_path / "meminfo", tmp_path / "group"
    assert free_memory(meminfo, group) is None
    meminfo.write_text(f"MemTotal: {8 * 2**20} kB\nMemAvailable: {6 * 2**20} kB\n")
    assert free_memory(meminfo, group) == 6 * GIB
    group.mkdir()
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {GIB}\n")
    (group / "memory.current").write_text(f"{3 * GIB}\n")
    for most, free in (("max", 6), (4 * GIB, 2), (64 * GIB, 6)):
        (group / "memory.max").write_text(f"{most}\n")
        assert free_memory(meminfo, group) == free * GIB


def test_a_room_holds_no_more_than_its_size():
    room, together = Room(10), threading.Barrier(2, timeout=60)
    holding, most = 0, 0

    def work(part: int) -> int:
        nonlocal holding, most
        with room.hold(part):
            holding += min(part, 10)
            most = max(most, holding)
            if part == 5:
                together.wait()  # two of them fit, or this breaks
            time.sleep(0.001)
            holding -= min(part, 10)
        return part

    for parts in ([6, 10, 99, 6, 1], [5] * 6):
        assert list(in_order(work, ((part,) for part in parts), threads=2)) == parts
    assert most == 10
    with pytest.raises(ZeroDivisionError), room.hold(10):
        raise ZeroDivisionError
    with room.hold(10):
        pass


def test_results_come_in_order_and_few_wait():
    running, started = [], 0

    def work(i: int) -> int:
        nonlocal started
        started += 1
        running.append(threading.get_ident())
        time.sleep(0.002 * (7 - i % 7))
        return i

    for taken, result in enumerate(in_order(work, ((i,) for i in range(40)), threads=3, ahead=4)):
        assert result == taken
        assert started <= taken + 3 + 4
    assert taken == 39
    assert len(set(running)) == 3


def test_an_error_of_one_ends_the_rest():
    done = []

    def work(i: int) -> None:
        done.append(i)
        if i == 2:
            raise ValueError(f"of {i}")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="of 2"):
        list(in_order(work, ((i,) for i in range(100)), threads=2))
    assert len(done) < 10


def test_there_is_a_core():
    assert cores() >= 1


def test_threads_inside_have_one_core_each():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_core_a_thread(torch.device("cpu")) as threads:
            assert threads is None
            assert list(in_order(torch.get_num_threads, [()] * 4, threads=2)) == [1] * 4
        assert torch.get_num_threads() == 3
        with pytest.raises(KeyError), one_core_a_thread(torch.device("cpu")):
            raise KeyError
        assert torch.get_num_threads() == 3
        with one_core_a_thread(torch.device("cuda")) as threads:
            assert (threads, torch.get_num_threads()) == (1, 3)
    finally:
        torch.set_num_threads(before)
