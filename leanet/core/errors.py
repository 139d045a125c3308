"""The one kind of error that is the user's to mend."""

from leanet.core.addresses import without_password
from leanet.core.text import printable


class InputError(Exception):
    """A foreseeable mistake in files or settings; its text is one line that says what to change.

    Line breaks and other control characters, of a file's name say, are shown as escapes; users and passwords of
    addresses are left out.
    """

    def __init__(self, text: str):
        super().__init__(printable(without_password(text)))
