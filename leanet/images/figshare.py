"""What figshare says of an article's files."""

import re

from leanet.core import files
from leanet.core.errors import InputError
from leanet.images.web import RefusedError, ask, is_weaker, patiently

LISTING = 4 * 2**20  # bytes at most


def listed(api: str, pattern: str) -> tuple[str, int, str]:
    """The (address, size in bytes, MD5) of the one file of a figshare article whose name has `pattern`.

    `api` is the article's address in figshare's API; `pattern` a regular expression, in either case.

    Raises:
        InputError: the article cannot be had, or not exactly one of its files matches.
    """

    def article() -> bytes:
        with ask(api) as response:
            return response.raw.read(LISTING + 1)

    try:
        found = _by_name(patiently(api, article))
        matching = [name for name in found if re.search(pattern, name, re.IGNORECASE)]
        if len(matching) == 1:
            return _described(matching[0], found[matching[0]], api)
    except RefusedError as reason:
        raise InputError(f"{api}: {reason}; expected a figshare article in JSON") from None
    names = ", ".join(found) or "none"
    raise InputError(f"{api}: {len(matching)} files match {pattern!r}, expected one; there are {names}")


def _by_name(article: bytes) -> dict[str, dict]:
    try:
        listed = {file["name"]: file for file in files.from_json(article)["files"]}
    except (ValueError, KeyError, TypeError):
        listed = {None: None}
    if len(article) > LISTING or not all(isinstance(name, str) for name in listed):
        raise RefusedError("lists no files with name")
    return listed


def _described(name: str, file: dict, api: str) -> tuple[str, int, str]:
    address, size, md5 = (file.get(key) for key in ("download_url", "size", "computed_md5"))
    texts = isinstance(address, str) and isinstance(md5, str)
    if not texts or type(size) is not int or size < 1 or not address.startswith(("http://", "https://")):
        raise RefusedError(f"{name} has no download_url, size and computed_md5")
    if is_weaker(address, api):
        raise RefusedError(f"{name} leads from https to http")
    return address, size, md5
