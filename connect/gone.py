"""How many rows may be gone at once: an answer that lacks most of them is rather of a right that was withdrawn."""

from typing import Final

_FEW: Final = 2
"""So many may be gone at once whatever part of all they are."""


def too_many_gone(what: str, gone: int, known: int, percent_max: int) -> str | None:
    """Return in words that more rows than `percent_max` of those known are gone, or None if so many may be."""
    if gone <= max(_FEW, known * percent_max // 100):
        return None
    return (
        f"{what}: {gone} of {known} rows are not there any more, which is more than {percent_max} %: none of them is "
        "deleted. Look whether the feed may still see them; if they are gone indeed, set gone.percent.max = 100, start "
        "the feed anew, and take it out again"
    )
