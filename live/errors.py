"""What goes wrong when the whole is put together."""


class PipelineError(Exception):
    """A part does not do what the whole needs; the message says which, and its last words."""
