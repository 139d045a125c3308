"""What machines run out of, as a line."""

import errno

import pytest
import torch

from leanet.run import stage
from leanet.run.faults import explain

TOO_MUCH = 2**60  # bytes


def of(number: int, name: str | None = None) -> OSError:
    return OSError(number, "said by the system", name) if name else OSError(number, "said by the system")


def from_torch() -> Exception:
    try:
        torch.empty(TOO_MUCH, dtype=torch.uint8)
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            of(errno.ENOSPC, "data/maps/leaf.part/fold0.npy"),
            "no space left on the disk of data/maps/leaf.part/fold0",
        ),
        (of(errno.ENOSPC), "no space left on the disk of data ("),
        (of(errno.EDQUOT), "MiB free); make room (`leanet prune`"),
        (of(errno.EACCES, "metrics/report.md"), "metrics/report.md cannot be written or read (said by"),
        (of(errno.EROFS, "logs"), "logs cannot be written or read"),
        (MemoryError(), "out of memory; lower batch_size, split.image_size or execution.workers"),
        (from_torch(), "out of memory; lower batch_size"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory on the GPU; lower batch_size"),
    ],
)
def test_each_is_one_line_that_says_how_to_go_on(error, said):
    line = explain(error)
    assert said in line
    assert "then `dvc repro` goes on where it stopped" in line
    assert "\n" not in line


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), of(errno.ENOENT, "x"), RuntimeError("x")])
def test_what_is_a_fault_of_the_code_is_not_explained_away(error):
    assert explain(error) is None


def test_a_stage_ends_with_the_line_and_a_fault_of_the_code_with_its_traceback(tiny, monkeypatch):
    monkeypatch.setattr("sys.argv", ["split", "leaf"])

    def ends(error):
        def main(dataset: str):
            raise error

        with pytest.raises(BaseException) as raised:  # noqa: PT011 -- whichever it is, the test looks at it
            stage.run("split", main)
        return raised.value

    line = ends(of(errno.EROFS, "data/split"))
    assert isinstance(line, SystemExit)
    assert str(line).startswith("split@leaf: data/split cannot be written")
    assert isinstance(ends(ValueError("x")), ValueError)
    assert "split@leaf: interrupted" in str(ends(KeyboardInterrupt()))
