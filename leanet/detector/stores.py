"""What goes wrong with files at addresses: every kind of store has errors of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from leanet.core.addresses import login
from leanet.core.errors import InputError


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Whatever a store says inside becomes one line about `what`.

    Raises:
        InputError: it said something.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        if secret := login(what):  # some stores take it for a part of a name
            said = said.replace(secret, "")
        raise InputError(f"{what}: {said or type(error).__name__}") from None
