"""A real sshd of a test's own: host key, client key and settings in a folder, listening on loopback, SFTP only."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.ports import free_ports
from stack.tools import sshd
from streams.sinks.sftp_settings import SftpSettings

_PRIVILEGE_SEPARATION = Path("/run/sshd")
_SETTINGS = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
MaxStartups 100
"""


class Sshd:
    """Started, killed, started again; what is known of it stands in `settings`."""

    def __init__(self, folder: Path) -> None:
        try:
            self._program = sshd()
        except StackError as error:
            pytest.skip(str(error))
        self.folder = folder
        (self.port,) = free_ports(1)
        self._child: subprocess.Popen[bytes] | None = None
        for name in ("host", "client", "stranger"):
            self._make_key(folder / name)
        (folder / "config").write_text(_SETTINGS.format(port=self.port, folder=folder), encoding="utf-8")
        self.known_hosts = self.know("host")
        if os.geteuid() == 0:
            _PRIVILEGE_SEPARATION.mkdir(exist_ok=True)  # it does not start as root without; a boot makes it elsewhere

    def know(self, key: str) -> Path:
        """A file by which the server is known to have a key."""
        kind, words, *_ = (self.folder / f"{key}.pub").read_text(encoding="ascii").split()
        file = self.folder / f"known-{key}"
        file.write_text(f"[127.0.0.1]:{self.port} {kind} {words}\n", encoding="ascii")
        return file

    def settings(self, **more: object) -> SftpSettings:
        given = {
            "host": "127.0.0.1", "port": self.port, "user": getpass.getuser(), "known_hosts": self.known_hosts,
            "timeout_seconds": 10,
        }  # fmt: skip
        if "password" not in more:
            given["key_file"] = self.folder / "client"
        return SftpSettings.model_validate({**given, **more})

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        with log:
            command = [self._program, "-D", "-e", "-f", str(self.folder / "config")]
            self._child = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        until = time.monotonic() + 10
        while not self._answers():
            assert self._child.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
            assert time.monotonic() < until
            time.sleep(0.02)  # between two looks, as it does not tell when it listens

    def _answers(self) -> bool:
        with socket.socket() as asked:
            return not asked.connect_ex(("127.0.0.1", self.port))

    def kill(self) -> None:
        """Kill it and every session of it."""
        if self._child is not None:
            for pid in [*_children(self._child.pid), self._child.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._child.wait()
            self._child = None

    def kill_sessions(self) -> int:
        """Kill the sessions there are, and let it go on; return how many programs that were."""
        assert self._child is not None
        pids = _children(self._child.pid)
        for pid in pids:
            with suppress(ProcessLookupError):  # a session ends with the one below it
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def _make_key(self, path: Path) -> None:
        keygen = shutil.which("ssh-keygen")
        assert keygen is not None, "it comes with sshd"
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, stdin=subprocess.DEVNULL)


def _children(pid: int) -> list[int]:
    """All below a process, the youngest first."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    below = [int(each) for each in file.read_text(encoding="ascii").split()] if file.exists() else []
    return [*[one for each in below for one in _children(each)], *below]
