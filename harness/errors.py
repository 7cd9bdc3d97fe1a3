"""A user's mistake: one line that says what was found, what was expected, where, and what to do."""


class UserError(Exception):
    """Shown as one line, without a traceback; the command exits with `code`."""

    def __init__(self, message: str, *, code: int = 2) -> None:
        super().__init__(message)
        self.code = code
