"""Addresses as others may read them."""

import re

# A password may have / or @ in it, and a path, too; :80/ is a port.
LOGIN = re.compile(r"://(?:[^\s/@:]*:(?!\d{1,5}/)[^\s@]*@)?(?:[^\s/?#]*@)?")
SECRET = re.compile(r"([?&][\w-]*(?:password|pwd|token|secret|signature|sig)=)[^\s&'\")]*", re.IGNORECASE)


def login(address: str) -> str:
    """Its user and password as they stand there, with the @ behind them; empty where it has none."""
    found = LOGIN.search(address)
    return found[0].removeprefix("://") if found else ""


def without_password(text: object) -> str:
    """`text` without the users and passwords of the addresses in it."""
    return SECRET.sub(r"\1…", LOGIN.sub("://", str(text)))
