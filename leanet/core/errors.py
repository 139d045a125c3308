"""The one kind of error that is the user's to mend."""


class InputError(Exception):
    """A foreseeable mistake in files or settings; its text is one line that says what to change.

    Line breaks and other control characters, of a file's name say, are shown as escapes.
    """

    def __init__(self, text: str):
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in text))
