"""The one error a sub-command raises when a person has to do something."""


class CommandError(Exception):
    """A sentence for the person at the terminal, and the exit code that goes with it."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code
