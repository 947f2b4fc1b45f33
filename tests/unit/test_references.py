"""References to secrets: what they become, and that what is missing is told without telling a secret."""

from pathlib import Path

import pytest

from outside.references import resolved


def test_references_become_what_they_refer_to(tmp_path: Path) -> None:
    file = tmp_path / "secrets.properties"
    file.write_text("# key=comment\nkey = s3cret\n", encoding="utf-8")
    assert resolved(f"${{env:USER_NAME}}:${{file:{file}:key}}@x", {"USER_NAME": "ann"}) == "ann:s3cret@x"
    assert resolved("$plain ${other:x}", {}) == "$plain ${other:x}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${env:ABSENT}", r"\$\{env:ABSENT\} refers to nothing: 'there is no environment variable ABSENT'"),
        ("${file:absent.properties:key}", r"refers to nothing: .*No such file"),
    ],
)
def test_a_reference_to_nothing_is_told(text: str, said: str) -> None:
    with pytest.raises(LookupError, match=said):
        resolved(text, {})
