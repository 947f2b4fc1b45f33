"""Programs of the test's own on the PATH, in place of those of the machine."""

from pathlib import Path


def put_program(folder: Path, name: str, script: str) -> Path:
    """Write a shell script that can be run by name once its folder is on the PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path
