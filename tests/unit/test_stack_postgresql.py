"""What the clients of PostgreSQL are given; no server is started here."""

import json
import sys
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.postgresql import PostgreSQL

PSQL = """\
#!{python}
import json, sys
with open({seen!r}, "w") as seen:
    json.dump([sys.argv[1:], sys.stdin.read()], seen)
sys.exit({code})
"""


def told_to_psql(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> tuple[list[str], str]:
    """Have a role given its password; return psql's command line and standard input."""
    seen, psql = folder / "seen.json", folder / "psql"
    psql.write_text(PSQL.format(python=sys.executable, seen=str(seen), code=code))
    psql.chmod(0o700)
    (folder / "password").write_text("of-the-superuser")
    monkeypatch.setattr("stack.postgresql.postgresql", lambda: (folder, "17"))
    server = PostgreSQL(folder, 5432)
    try:
        server.set_password("debezium", "it's-a-secret")
    finally:
        words, written = json.loads(seen.read_text())
    return words, written


def test_a_password_stands_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words, written = told_to_psql(tmp_path, monkeypatch)
    assert "secret" not in " ".join(words)
    assert "--set=ON_ERROR_STOP=1" in words
    assert written == "alter role \"debezium\" login password 'it''s-a-secret';\n"


def test_a_password_that_is_not_taken_is_told_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StackError, match=r"^psql on postgres: ") as failure:
        told_to_psql(tmp_path, monkeypatch, code=3)
    assert "secret" not in str(failure.value)
