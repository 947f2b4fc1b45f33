"""What of settings may be shown, and that no secret may be written out."""

from pathlib import Path

import pytest

from connect.configuration import CONNECTORS_FOLDER, Configuration, UnusableConfiguration, read
from connect.masking import MASK, refuse_plain_secrets, shown


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
        ("database.pwd", "open-sesame", MASK),
        ("database.pass", "open-sesame", MASK),
        ("value.converter.basic.auth.user.info", "svc:open-sesame", MASK),
        ("producer.override.ssl.keystore.key", "open-sesame", MASK),
        ("http.authorization", "open-sesame", MASK),
        ("http.header", "X-Key: open-sesame", MASK),
        ("anything.unheard.of", "open-sesame", MASK),
        ("anything.unheard.of", "7391", MASK),
        ("anything.unheard.of", "true", "true"),
        ("told.by.webhook.url", "https://example.org/T0/open-sesame", MASK),
        ("anything.unheard.of", "${env:P}", "${env:P}"),
        ("anything.unheard.of", "", ""),
        ("database.password", "true", MASK),
        ("tasks.max", "2", "2"),
        ("table.include.list", "public.a,public.token_uses", "public.a,public.token_uses"),
        ("file", "-----BEGIN CERTIFICATE-----\nMIIC", MASK),
        ("name", "Bearer open-sesame", MASK),
        ("fields", "Authorization: Basic open-sesame", MASK),
        ("client_secret", "x", MASK),
        ("registry.url", "https://ann:open-sesame@example.org/x", f"https://{MASK}@example.org/x"),
        ("registry.url", "https://example.org/x", "https://example.org/x"),
        ("registry.url", "https://ann:open@sesame@example.org/x", f"https://{MASK}@example.org/x"),
        ("registry.url", "https://ann:open/?#@sesame@example.org/x", f"https://{MASK}@example.org/x"),
        ("registry.url", "https://open-sesame@example.org/x", f"https://{MASK}@example.org/x"),
        ("registry.url", "https://${env:U}:${env:P}@example.org/x", "https://${env:U}:${env:P}@example.org/x"),
        ("connection.url", "jdbc:a://h/d?user=u&password=open-sesame", f"jdbc:a://h/d?user=u&password={MASK}"),
        ("connection.url", "jdbc:a://h;user=u;password=open;sesame&x=1", f"jdbc:a://h;user=u;password={MASK}"),
        ("connection.url", "jdbc:a://h/d?password=${env:P}&ssl=true", "jdbc:a://h/d?password=${env:P}&ssl=true"),
        ("connection.url", "https://h/d?sv=1&sig=open-sesame", f"https://h/d?sv=1&sig={MASK}"),
        (
            "connection.url",
            "jdbc:a://h/d?passwordCharacterEncoding=utf8",
            "jdbc:a://h/d?passwordCharacterEncoding=utf8",
        ),
        ("connection.url", "jdbc:a://h:5432/d?currentSchema=b", "jdbc:a://h:5432/d?currentSchema=b"),
        ("auth.token.url", "${env:LOGIN}/oauth2/token", "${env:LOGIN}/oauth2/token"),
        ("auth.token.url", "https://ann:open-sesame@example.org/token", f"https://{MASK}@example.org/token"),
        ("private.key.file", "secrets/key.pem", "secrets/key.pem"),
        ("refresh.token", "open-sesame", MASK),
        ("message.key.columns", "public.a:id", "public.a:id"),
        ("key.converter", "org.example.Text", "org.example.Text"),
        ("tombstones.on.delete", "false", "false"),
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
        ("connection.url", "jdbc:a://h/d?user=u&password=open-sesame"),
        ("connection.url", "jdbc:a://h;user=u;password=open-sesame"),
        ("connection.url", "jdbc:a://h/d?password=${env:P}open-sesame"),
        ("connection.url", "https://h/d?sig=open-sesame"),
        ("connection.url", "https://ann:open-sesame@example.org/x"),
        ("connection.url", "https://ann:open@sesame@example.org/x"),
        ("connection.url", "https://ann:open/sesame@example.org/x"),
        ("connection.url", "https://${env:U}:open-sesame@example.org/x"),
        ("value.converter.basic.auth.user.info", "svc:open-sesame"),
        ("producer.override.ssl.keystore.key", "open-sesame"),
        ("database.pwd", "open-sesame"),
        ("anything.unheard.of", "-----BEGIN PRIVATE KEY-----\nopen-sesame"),
        ("anything.unheard.of", "-----BEGIN RSA PRIVATE KEY-----\nopen-sesame"),
        ("http.header", "Basic open-sesame"),
        ("http.headers", "Accept: text/plain, Authorization: Bearer open-sesame"),
    ],
)
def test_a_secret_written_out_is_refused_by_its_looks_too(key: str, value: str) -> None:
    config = {"connector.class": "a", key: value}
    with pytest.raises(UnusableConfiguration, match=rf"^psa: {key} has its secret written out; ") as refusal:
        refuse_plain_secrets(Configuration(name="psa", config=config))
    assert "sesame" not in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("database.password", "${env:P}"),
        ("slot.name", "x"),
        ("anything.unheard.of", "7391"),
        ("connection.url", "jdbc:a://${env:H}:${env:P}/${env:N}?currentSchema=a&mail=b@c"),
        ("connection.url", "jdbc:a://h:5432/d?user=u&password=${env:P}&ssl=true"),
        ("connection.url", "https://${env:U}:${env:P}@h:8080/x@2"),
        ("connection.url", "https://h:8080/x@2"),
        ("message.key.columns", "public.tokens:id;public.secrets:id"),
        ("heartbeat.action.query", "update beats set token = 1 where kind = basic and id = 2"),
        ("http.headers", "Authorization: Bearer ${env:T}, Accept: text/plain"),
        ("transforms.place.headers", "event_time,kind"),
        ("aws.access.key.id", "someone"),
        ("ssl.truststore.certificates", "-----BEGIN CERTIFICATE-----\nMIIC"),
    ],
)
def test_references_and_what_is_no_secret_are_not_refused(key: str, value: str) -> None:
    refuse_plain_secrets(Configuration(name="psa", config={"connector.class": "org.example.TokenSource", key: value}))


@pytest.mark.parametrize("file", [CONNECTORS_FOLDER / "psa.json", CONNECTORS_FOLDER / "analytics.json"])
def test_nothing_of_our_own_connectors_is_masked(file: Path) -> None:
    config = read(file).config
    assert {key: shown(key, value) for key, value in config.items()} == config
