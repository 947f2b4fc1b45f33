"""What differs between settings, and that no secret is shown or written out."""

import pytest

from connect.configuration import Configuration, UnusableConfiguration
from connect.differences import MASK, Difference, differences, is_secret, refuse_plain_secrets, shown


def test_what_differs_is_found_by_key_and_the_name_is_no_difference() -> None:
    wanted = {"tasks.max": "1", "slot.name": "two", "new": "x"}
    running = {"tasks.max": "1", "slot.name": "one", "old": "y", "name": "psa"}
    assert differences(wanted, running) == [
        Difference("new", None, "x"),
        Difference("old", "y", None),
        Difference("slot.name", "one", "two"),
    ]
    assert differences(wanted, wanted | {"name": "psa"}) == []


@pytest.mark.parametrize(
    ("difference", "line"),
    [
        (Difference("a", None, "1"), "+ a = 1"),
        (Difference("a", "1", None), "- a = 1"),
        (Difference("a", "", "1"), "~ a =  → 1"),
        (Difference("database.password", "old", "new"), f"~ database.password = {MASK} → {MASK}"),
        (Difference("database.password", "old", "${env:P}"), f"~ database.password = {MASK} → ${{env:P}}"),
        (Difference("database.password", "old", None), f"- database.password = {MASK}"),
    ],
)
def test_a_difference_is_a_line_without_secrets(difference: Difference, line: str) -> None:
    assert str(difference) == line


@pytest.mark.parametrize(
    ("key", "value", "seen"),
    [
        ("database.password", "open-sesame", MASK),
        ("database.password", "${env:P}", "${env:P}"),
        ("database.password", "${file:secrets.properties:p}", "${file:secrets.properties:p}"),
        ("database.password", "x${env:P}", MASK),
        ("sasl.jaas.config", "org.example.Login required password=x;", MASK),
        ("ssl.keystore.password", "x", MASK),
        ("api.key", "x", MASK),
        ("client_secret", "x", MASK),
        ("registry.url", "https://ann:open-sesame@example.org/x", f"https://{MASK}@example.org/x"),
        ("registry.url", "https://example.org/x", "https://example.org/x"),
        ("auth.token.url", "${env:LOGIN}/oauth2/token", "${env:LOGIN}/oauth2/token"),
        ("auth.token.url", "https://ann:open-sesame@example.org/token", f"https://{MASK}@example.org/token"),
        ("private.key.file", "secrets/key.pem", "secrets/key.pem"),
        ("refresh.token", "open-sesame", MASK),
        ("message.key.columns", "public.a:id", "public.a:id"),
        ("key.converter", "org.example.Text", "org.example.Text"),
        ("tombstones.on.delete", "false", "false"),
        ("connection.url", "jdbc:postgresql://h/d?user=u&password=geheim", f"jdbc:postgresql://h/d?user=u&{MASK}"),
        ("connection.url", "jdbc:sqlserver://h;user=u;password=ge;x=1", f"jdbc:sqlserver://h;user=u;{MASK};x=1"),
        ("connection.url", "jdbc:oracle:thin:ann/geheim@h:1521/x", f"jdbc:oracle:thin:{MASK}@h:1521/x"),
        ("connection.url", "jdbc:postgresql://h:5432/d?ssl=true", "jdbc:postgresql://h:5432/d?ssl=true"),
        ("registry.url", "https://u:p@geheim@h/x", f"https://{MASK}@h/x"),
        ("registry.url", "https://u:${env:P}@h/x", f"https://{MASK}@h/x"),
        ("value.converter.basic.auth.user.info", "svc:geheim", MASK),
        ("ssl.keystore.key", "-----BEGIN PRIVATE KEY-----\nMIIE", MASK),
        ("key.pem", "x -----BEGIN RSA PRIVATE KEY-----\nMIIE", f"x {MASK}"),
        ("http.headers", "Authorization: Bearer eyJhbGciOi.x-y", f"Authorization: {MASK}"),
        ("database.pwd", "geheim", MASK),
        ("transforms.key.type", "basic routing", "basic routing"),
        ("message.key.columns", "public.tokens:id;public.b:id", "public.tokens:id;public.b:id"),
    ],
)
def test_what_may_be_a_secret_is_masked_and_a_reference_is_not(key: str, value: str, seen: str) -> None:
    assert shown(key, value) == seen


@pytest.mark.parametrize("value", ["open-sesame", "${env:P}x", "${nothing"])
def test_a_secret_written_out_is_refused_by_key_alone(value: str) -> None:
    with pytest.raises(UnusableConfiguration) as refusal:
        refuse_plain_secrets(Configuration(name="psa", config={"connector.class": "a", "database.password": value}))
    assert str(refusal.value) == (
        "psa: database.password has its secret written out; write ${env:NAME} or ${file:PATH:KEY}, and give the secret "
        "to Connect"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("connection.url", "jdbc:postgresql://h/d?user=u&password=geheim"),
        ("registry.url", "https://u:geheim@h/x"),
        ("http.headers", "Authorization: Basic dTpwMTIz"),
        ("value.converter.basic.auth.user.info", "svc:geheim"),
        ("any", "-----BEGIN EC PRIVATE KEY-----\nMIIE"),
    ],
)
def test_a_secret_within_a_value_is_refused_too(key: str, value: str) -> None:
    with pytest.raises(UnusableConfiguration, match="has its secret written out") as refusal:
        refuse_plain_secrets(Configuration(name="psa", config={"connector.class": "a", key: value}))
    assert "geheim" not in str(refusal.value)


def test_references_within_values_are_not_refused() -> None:
    config = {
        "connector.class": "a",
        "connection.url": "jdbc:postgresql://${env:HOST}/d?user=u&password=${env:P}",
        "registry.url": "https://${env:U}:${env:P}@h/x",
        "http.headers": "Authorization: Bearer ${env:T}",
        "ssl.keystore.key": "${file:secrets.properties:key}",
    }
    refuse_plain_secrets(Configuration(name="psa", config=config))


def test_references_and_what_is_no_secret_are_not_refused() -> None:
    config = {"connector.class": "org.example.TokenSource", "database.password": "${env:P}", "slot.name": "x"}
    refuse_plain_secrets(Configuration(name="psa", config=config))
    assert not is_secret("message.key.columns")
