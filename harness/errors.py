"""The exception for a user's mistake: one line with what was found, what was expected, where, and what to do."""


class UserError(Exception):
    """The command prints the message as one line, without a traceback, and exits with `code`."""

    def __init__(self, message: str, *, code: int = 2) -> None:
        super().__init__(message)
        self.code = code
