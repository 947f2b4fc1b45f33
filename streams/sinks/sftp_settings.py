"""Settings of an SFTP server: where it is, how it is known, and who we are to it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class SftpSettings(BaseModel):
    """Where files are exchanged over SFTP, and as whom."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1, description="Name or address of the server.")
    port: int = Field(default=22, ge=1, le=65535, description="Its port.")
    user: str = Field(min_length=1, description="User there.")
    known_hosts: Path = Field(
        description="File with the server's key, as OpenSSH keeps it; a server with another key is not spoken to."
    )
    key_file: Path | None = Field(default=None, description="File of our private key.")
    key_passphrase: SecretStr | None = Field(default=None, description="Passphrase of the private key, if it has one.")
    password: SecretStr | None = Field(default=None, description="Password, where there is no key.")
    timeout_seconds: int = Field(default=30, ge=1, le=3600, description="Seconds that an answer is waited for.")
    keepalive_seconds: int = Field(default=15, ge=1, le=3600, description="Seconds between signs of life.")
    lock_seconds_max: int = Field(
        default=120,
        ge=2,
        le=86_400,
        description="Seconds after which the lock of a writer that does not move counts as left behind; more than "
        "twice what writing a batch takes.",
    )

    @model_validator(mode="after")
    def _has_one_credential(self) -> "SftpSettings":
        if (self.key_file is None) == (self.password is None):
            raise ValueError("give either key_file or password")
        return self
