"""The one exception that reaches the user as a single line."""


class HqmdError(Exception):
    """A problem the user can mend. Its text says what happened, in which file, and what to do about it."""
