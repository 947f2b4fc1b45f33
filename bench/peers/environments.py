"""The environments of the peers: made once from their locks, in a folder that git ignores."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".bench"
PEERS = ("faust", "quix")


class PeerError(Exception):
    """The environment of a peer cannot be made."""


def python_of(peer: str, say: Callable[[str], None]) -> Path:
    """Return the Python of a peer's environment, made if its lock has changed. Raises `PeerError`."""
    lock = Path(__file__).with_name(f"{peer}.lock")
    folder, wanted = FOLDER / peer, hashlib.sha256(lock.read_bytes()).hexdigest()
    python, ready = folder / "bin" / "python", folder / ".ready"
    if ready.is_file() and ready.read_text() == wanted:
        return python
    say(f"making the environment of {peer}, once: {folder}")
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = ("-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes")
        subprocess.run([python, *install, "-r", lock], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PeerError(f"{peer}: its environment cannot be made: {error}; the messages above say why") from error
    ready.write_text(wanted)
    return python
