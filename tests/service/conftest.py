"""The service of a small detector, as a program and inside the process of a test."""

from contextlib import ExitStack

import pytest
import servers
import serving

from leanet import Detector
from leanet.core import paths


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
