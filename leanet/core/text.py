"""Names and texts from outside as they may be shown: on a terminal, in Markdown, in a spreadsheet."""

import re

# Control characters, what breaks a line or turns its direction, and bytes that are no UTF-8.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with escapes, such as \\x1b, in place of what is not to be printed."""
    return UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], text)


def markdown(text: str) -> str:
    """The text, no part of which Markdown takes for HTML, a link or the end of a cell."""
    return re.sub(r"[\\`<\[|]", r"\\\g<0>", text)


def no_formula(path: str) -> str:
    """The path, which names the same file, but which no spreadsheet takes for a formula and runs."""
    return f"./{path}" if path.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) else path
