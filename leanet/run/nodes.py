"""A Ray cluster to join, of this machine or of many: its nodes need neither the data nor the project's code."""

import socket
from pathlib import Path
from types import ModuleType

import leanet
from leanet.core.errors import InputError


def join(address: str | None, option: str) -> ModuleType:
    """Ray's module, joined to the cluster at `address`; None starts one here. End with its `shutdown`.

    option: what named the address, for the user.

    Raises:
        InputError: no cluster answers.
        ModuleNotFoundError: Ray is not installed.
    """
    import ray

    # The code travels along: no node can have another version of it.
    code = {"py_modules": [str(Path(leanet.__file__).parent)]}
    try:
        if address and ":" in address:
            _knock(address)
        ray.init(address, runtime_env=code, logging_level="error", log_to_driver=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{option}: no Ray cluster answers at {address} ({error})") from None
    return ray


def _knock(address: str) -> None:
    """Where nobody listens, Ray itself waits for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), timeout=10).close()
