"""One connection to an SFTP server: whom we trust, who we are, and what the server can do beyond the protocol.

Owns how a connection is made. Does not own what is asked over it, nor what its failures mean to a sink.
"""

from typing import Any, Final

import paramiko
from paramiko.sftp import CMD_EXTENDED, CMD_INIT, CMD_VERSION, SFTPError

from streams.sinks.sftp_settings import SftpSettings

_POSIX_RENAME: Final = "posix-rename@openssh.com"
_FSYNC: Final = "fsync@openssh.com"
_VERSION: Final = 3


class Unusable(Exception):
    """Nothing can be done there until a person acts: a key that is not known, a file that is missing."""


class _OnlyKnown(paramiko.MissingHostKeyPolicy):
    """Refuses a server whose key is not in the file of known hosts."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        """Refuse it."""
        raise Unusable(f"the key of {hostname} is {key.get_name()} {key.fingerprint}, which known_hosts does not have")


class Client(paramiko.SFTPClient):
    """A client that keeps which extensions the server has, and can have a file fsynced."""

    extensions: frozenset[str] = frozenset()

    def _send_version(self) -> int:
        hello = paramiko.Message()
        hello.add_int(_VERSION)
        self._send_packet(CMD_INIT, hello)  # type: ignore[attr-defined]
        kind, body = self._read_packet()  # type: ignore[attr-defined]
        if kind != CMD_VERSION:
            raise SFTPError("it speaks no SFTP")
        told = paramiko.Message(body)
        version, names = told.get_int(), []
        while told.get_remainder():
            names.append(told.get_text())
            told.get_string()
        self.extensions = frozenset(names)
        return version

    def fsync(self, file: paramiko.SFTPFile) -> None:
        """Have the server write a file to its disk, if it can be asked to."""
        if _FSYNC in self.extensions:
            self._request(CMD_EXTENDED, _FSYNC, file.handle)  # type: ignore[attr-defined]


def see_files(settings: SftpSettings) -> None:
    """Read what a connection needs of files, without making one. Raises `Unusable`."""
    _know_hosts(paramiko.SSHClient(), settings)
    _credentials(settings)


def connected(ssh: paramiko.SSHClient, settings: SftpSettings) -> Client:
    """Connect a client of SSH, and return one of SFTP over it.

    Raises:
        Unusable: A person must act.
        paramiko.SSHException, OSError: There is no connection.
    """
    wait_s = settings.timeout_seconds
    _know_hosts(ssh, settings)
    ssh.set_missing_host_key_policy(_OnlyKnown())
    ssh.connect(
        settings.host, settings.port, settings.user, allow_agent=False, look_for_keys=False, timeout=wait_s,
        banner_timeout=wait_s, auth_timeout=wait_s, channel_timeout=wait_s, **_credentials(settings),
    )  # fmt: skip
    transport = ssh.get_transport()
    assert transport is not None, "it is connected"
    transport.set_keepalive(settings.keepalive_seconds)
    sftp = Client.from_transport(transport)
    assert isinstance(sftp, Client), "a class method makes one of its class"
    channel = sftp.get_channel()
    assert channel is not None, "it is connected"
    channel.settimeout(wait_s)
    if _POSIX_RENAME not in sftp.extensions:
        raise Unusable(f"the server has no {_POSIX_RENAME}, so that no file can be replaced in one step")
    return sftp


def _know_hosts(ssh: paramiko.SSHClient, settings: SftpSettings) -> None:
    try:
        ssh.load_host_keys(str(settings.known_hosts))
    except OSError as error:
        raise Unusable(f"known_hosts cannot be read: {error}") from error


def _credentials(settings: SftpSettings) -> dict[str, Any]:
    if settings.password is not None:
        return {"password": settings.password.get_secret_value()}
    secret = None if settings.key_passphrase is None else settings.key_passphrase.get_secret_value().encode()
    assert settings.key_file is not None, "the settings want it"
    try:
        # It is annotated as text, and takes bytes.
        return {"pkey": paramiko.PKey.from_path(settings.key_file, secret)}  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, paramiko.SSHException):  # what it says may hold the key
        raise Unusable(f"{settings.key_file} is no private key that can be read, or not by this passphrase") from None
