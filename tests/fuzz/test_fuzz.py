"""What reads bytes from outside, given inputs that are nearly whole, and those that once broke it."""

import pytest
from fuzz.mutation import FOUND, mutant
from fuzz.targets import TARGETS

from leanet.core.errors import InputError

INPUTS = 150  # a target; `make fuzz` tries others for minutes


def reads(name: str, content: bytes) -> bool:
    """Whether a target takes the content; what is no refusal is raised."""
    try:
        TARGETS[name].read(content)
    except InputError:
        return False
    return True


@pytest.mark.parametrize("name", TARGETS)
def test_whole_inputs_are_read(name):
    assert all(reads(name, content) for content in TARGETS[name].seeds())


@pytest.mark.filterwarnings("ignore::UserWarning")  # of damaged metadata
@pytest.mark.parametrize("name", TARGETS)
def test_what_is_nearly_whole_is_read_or_refused(name):
    read = [reads(name, mutant(name, number)) for number in range(INPUTS)]
    assert {True, False} == set(read)


@pytest.mark.parametrize("file", sorted(FOUND.glob("*/*")), ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_broke_it_once_breaks_it_no_more(file):
    reads(file.parent.name, file.read_bytes())
