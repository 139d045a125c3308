"""What figshare says of an article's files."""

import re

from leanet.core.errors import InputError
from leanet.images.web import RefusedError, ask, patiently


def listed(api: str, pattern: str) -> tuple[str, int, str]:
    """The (address, size in bytes, MD5) of the one file of a figshare article whose name has `pattern`.

    `api` is the article's address in figshare's API; `pattern` a regular expression, in either case.

    Raises:
        InputError: the article cannot be had, or not exactly one of its files matches.
    """

    def files() -> list[tuple[str, str, int, str]]:
        with ask(api) as response:
            try:
                article = response.json()
                return [(f["name"], f["download_url"], f["size"], f["computed_md5"]) for f in article["files"]]
            except (ValueError, KeyError, TypeError):
                raise RefusedError("lists no files with name, size, computed_md5 and download_url") from None

    try:
        found = patiently(api, files)
    except RefusedError as reason:
        raise InputError(f"{api}: {reason}; expected a figshare article in JSON") from None
    matching = [fields for name, *fields in found if re.search(pattern, name, re.IGNORECASE)]
    if len(matching) != 1:
        names = ", ".join(name for name, *_ in found) or "none"
        raise InputError(f"{api}: {len(matching)} files match {pattern!r}, expected one; there are {names}")
    address, size, md5 = matching[0]
    return address, size, md5
