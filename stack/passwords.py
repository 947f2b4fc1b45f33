"""Passwords of what runs here: made at random when first asked for, and kept in files that only we may read."""

import secrets
from pathlib import Path


def kept_password(file: Path) -> str:
    """Return the password that a file keeps; made where there is none yet."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(18), encoding="ascii")
    return file.read_text(encoding="ascii").strip()
