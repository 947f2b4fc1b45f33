"""Reading the policy file, with errors that name file, line and value."""

from pathlib import Path

from schemas.lined_yaml import load
from streams.domain.policy import Policy

SHIPPED = Path(__file__).parent / "policy.yaml"


def load_policy(path: Path | None = None) -> Policy:
    """Return the policy of a file (default: the one shipped). Raises `schemas.lined_yaml.UnusableFile`."""
    return load(path or SHIPPED, Policy).content
