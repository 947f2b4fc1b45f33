"""Why a system outside cannot be spoken to as things are: the class says what to do about it."""


class CannotGoOn(Exception):
    """What was asked of a system outside was not done; the class says what to do."""


class Fatal(CannotGoOn):
    """A person must act: wrong credentials, a setting that is missing, a system that is not the one it was."""


class NotThere(Fatal):
    """What was asked for is not there: a person's business, unless whoever asks knows that it may go."""


class Retriable(CannotGoOn):
    """It cannot answer now, and may later. `retry_after_ms`: the wait that it asked for, if it did.

    `status`: that of its answer, None where there was no whole one. `nothing_sent`: what was asked certainly had no
    effect, since it was not connected to, there was no token, or it said that it takes nothing now.
    """

    def __init__(
        self,
        reason: str,
        retry_after_ms: int | None = None,
        *,
        status: int | None = None,
        nothing_sent: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retry_after_ms = retry_after_ms
        self.status = status
        self.nothing_sent = nothing_sent


class Skippable(CannotGoOn):
    """It refuses this one thing, and would again: whoever asks for something else may go on. Nothing was done."""
