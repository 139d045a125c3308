"""The one kind of error that is the user's to mend."""


class InputError(Exception):
    """A foreseeable mistake in files or settings; its text is one line that says what to change."""
