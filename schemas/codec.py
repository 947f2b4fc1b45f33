"""Placeholder until the codec lands."""


class Undecodable(ValueError):
    """Bytes that cannot be decoded."""
