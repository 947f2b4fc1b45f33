"""Why a connector or task failed, from its Java trace: in a line, and for failures that are known, what to do.

A trace ends with the cause at the root, which is mostly what a person needs. Some roots say nothing of what happened,
or advise what would lose records: those are told in our own words.
"""

import re
from typing import Final, NamedTuple

_REASON_MAX: Final = 400
_CAUSE: Final = "Caused by: "
_ENVIRONMENT: Final = re.compile(r"\$\{env:([^}]+)\}")


class Failure(NamedTuple):
    """Why something failed, in a line. `restart_mends`: whether a restart helps once the cause is mended."""

    words: str
    restart_mends: bool = True


_KNOWN: Final = (
    (
        re.compile(
            r"no longer available on the server|can no longer get changes from replication slot|"
            r"requested WAL segment \S+ has already been removed"
        ),
        Failure(
            "the log that it has yet to read is gone: its slot was lost, or made anew. A restart does not mend that; "
            "read everything again, as docs/connect.md#care-of-the-slot says",
            restart_mends=False,
        ),
    ),
    (
        re.compile(r"Unable to determine Dialect without JDBC metadata"),
        Failure(
            "it cannot log in to its database: there is no such database or role, or the password is another; see "
            "docs/analytics.md#set-up (Unable to determine Dialect without JDBC metadata)"
        ),
    ),
    (
        re.compile(r"^io\.apicurio\.registry\.rest\.client\.exception\.RestClientException$"),
        Failure(
            "the schema registry does not answer: see that it runs, and that REGISTRY_URL of Connect's worker leads to "
            "it (io.apicurio.registry.rest.client.exception.RestClientException)"
        ),
    ),
)
"""Failures that are known by a pattern of their root cause: in our words, and what to do."""


def failure(trace: str) -> Failure:
    """Return why something failed, given the trace that Connect shows."""
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    causes = lines[:1] + [line.removeprefix(_CAUSE) for line in lines if line.startswith(_CAUSE)]
    if not causes:
        return Failure("no reason given")
    root = causes[-1]
    if missing := unresolved(root):
        return Failure(no_variables(missing))
    for cause, known in _KNOWN:
        if cause.search(root):
            return known
    if ": " not in root and (said := [cause for cause in causes if ": " in cause]):
        root = f"{root}, in {said[-1]}"  # a class without a word: what stands around it may have one
    # What a connector knows of itself often stands in the middle, at length.
    return Failure(root if len(root) <= _REASON_MAX else f"{root[: _REASON_MAX // 2]} … {root[-_REASON_MAX // 2 :]}")


def unresolved(text: str) -> list[str]:
    """Return the variables to which a text still refers, so that they are not in the environment of Connect's worker.

    Connect puts values in the place of references, and leaves those as they are for which it has none.
    """
    return [*dict.fromkeys(_ENVIRONMENT.findall(text))]


def no_variables(names: list[str]) -> str:
    """Say that Connect's worker lacks variables, and what to do."""
    listed = ", ".join(names)
    return f"Connect's worker has no variable {listed}: set it where Connect is started, and start Connect anew"
