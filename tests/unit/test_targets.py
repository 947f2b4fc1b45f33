"""The file of targets: what it opens, and that what is wrong is told with its line, and without secrets."""

from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from schemas.lined_yaml import UnusableFile
from streams.engine.targets import NamedTargets, load_targets, names_in
from streams.sinks.contract import Retriable
from streams.sinks.dynamics import Dynamics
from streams.sinks.file_exchange import FileExchange
from streams.sinks.netsuite import NetSuite
from streams.sinks.oracle import OracleFusion
from streams.sinks.sap import Sap
from streams.sinks.tryton import Tryton

ENVIRONMENT = {"ORACLE_PASSWORD": "s3cret", "SAP_URL": "https://sap.example"}
TARGETS = """\
version: 1
targets:
  netsuite-us:
    kind: netsuite
    url: https://1234567.suitetalk.api.netsuite.com
    auth: client_assertion
    auth.token.url: https://1234567.suitetalk.api.netsuite.com/services/rest/auth/oauth2/v1/token
    auth.client.id: client-1
    auth.key.file: key.pem
    auth.key.algorithm: ES256
    mapping: netsuite.yaml
    calls_at_once: 5
    calls_per_second: 10
  oracle:
    kind: oracle
    url: https://firm.fa.ocs.oraclecloud.com
    auth: basic
    auth.user: ann
    auth.password: ${env:ORACLE_PASSWORD}
    mapping: oracle.yaml
  dynamics:
    kind: dynamics
    url: http://127.0.0.1:9
    auth: client_credentials_form
    auth.token.url: http://127.0.0.1:9/token
    auth.client.id: client-1
    auth.client.secret: ${file:FOLDER/secrets.properties:dynamics}
    mapping: dynamics.yaml
    postings_per_call: 20
  sap:
    kind: sap
    url: ${env:SAP_URL}
    auth: basic
    auth.user: ann
    auth.password: s3cret
    mapping: sap.yaml
  legacy:
    kind: file
    folder: exchange
  tryton:
    kind: tryton
    url: http://127.0.0.1:9/
    database: erp
    user: clerk
    password: ${env:ORACLE_PASSWORD}
    mapping: tryton.yaml
    batch_seconds_max: 1.5
  old:
    kind: file
    folder: out
    sftp:
      host: files.example
      user: throughline
      known_hosts: known_hosts
      password: ${env:ORACLE_PASSWORD}
      timeout_seconds: 7
"""
PROPERTIES = "properties: {amount: A, currency: C, date: D, text: T}\n"
COMMON = 'version: 1\ncompany: {LE1: "1"}\nitem: {CONS: "144"}\n'
MAPPINGS = {
    "netsuite": COMMON + 'currency: {EUR: "1"}\n',
    "oracle": COMMON + "contract_type: Sell\n",
    "dynamics": COMMON + "entity_set: Rows\n" + PROPERTIES,
    "sap": COMMON + "reference: R\n" + PROPERTIES,
    "tryton": "version: 1\nlegal_entities: {LE1: {company: 1, journal: 2, receivable: 3, revenue: {}, taxes: {}}}\n"
    "customers: {}\ncurrencies: {}\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in MAPPINGS.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "known_hosts").write_text("", encoding="utf-8")
    (tmp_path / "secrets.properties").write_text("dynamics=s3cret\n", encoding="utf-8")
    (tmp_path / "key.pem").write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    return tmp_path


def write(folder: Path, text: str = TARGETS) -> Path:
    file = folder / "targets.yaml"
    file.write_text(text.replace("FOLDER", str(folder)), encoding="utf-8")
    return file


@pytest.fixture
def targets(folder: Path) -> NamedTargets:
    return load_targets(write(folder), ENVIRONMENT)


def test_each_target_opens_its_sink(targets: NamedTargets) -> None:
    kinds: dict[str, type[Any]] = {
        "netsuite-us": NetSuite, "oracle": OracleFusion, "dynamics": Dynamics, "sap": Sap, "legacy": FileExchange,
        "tryton": Tryton,
    }  # fmt: skip
    assert targets.names == (*kinds, "old")
    for name, kind in kinds.items():
        sink = targets.open(name)
        assert (type(sink), sink.system) == (kind, name)
        sink.close()


def test_a_sink_may_be_called_as_its_settings_say(targets: NamedTargets) -> None:
    limits = {}
    for name in ("netsuite-us", "oracle", "dynamics", "tryton"):
        sink = targets.open(name)
        limits[name] = (sink.calls_at_once, sink.postings_per_call)
        sink.close()
    assert limits == {"netsuite-us": (5, 1), "oracle": (4, 1), "dynamics": (4, 20), "tryton": (1, 20)}


def test_what_a_target_is_called_by_is_told(targets: NamedTargets) -> None:
    told = [targets.target(name) for name in ("netsuite-us", "tryton", "old")]
    assert [(one.kind, one.calls_at_once, one.calls_per_second, one.batch_seconds_max) for one in told] == [
        ("netsuite", 5, 10, None),
        ("tryton", 1, 0, 1.5),
        ("file", 1, 0, None),
    ]
    assert [one.place for one in told] == [
        "https://1234567.suitetalk.api.netsuite.com",
        "http://127.0.0.1:9/",
        "sftp://files.example:22/out",
    ]
    assert told[0].mapping.endswith("netsuite.yaml")


def test_names_are_had_without_secrets(folder: Path) -> None:
    assert names_in(write(folder)) == ("netsuite-us", "oracle", "dynamics", "sap", "legacy", "tryton", "old")


def test_a_name_that_is_no_target_is_refused(targets: NamedTargets) -> None:
    with pytest.raises(ValueError, match="there is no target 'sage'; there are: netsuite-us, oracle, dynamics"):
        targets.open("sage")


def test_sinks_of_one_target_share_a_client_until_the_last_is_closed(targets: NamedTargets) -> None:
    first, second = targets.open("dynamics"), targets.open("dynamics")
    first.close()
    first.close()
    with pytest.raises(Retriable) as raised:
        second.find(["00000000-0000-5000-8000-000000000001"])
    assert raised.value.nothing_sent
    second.close()
    third = targets.open("dynamics")
    with pytest.raises(Retriable):
        third.find(["00000000-0000-5000-8000-000000000001"])
    third.close()


@pytest.mark.parametrize(("key", "said"), [(None, "cannot be read"), ("no key", "cannot be used|cannot sign|no .*key")])
def test_a_key_that_cannot_be_used_is_told_at_start(folder: Path, key: str | None, said: str) -> None:
    (folder / "key.pem").unlink()
    if key is not None:
        (folder / "key.pem").write_text(key, encoding="ascii")
    with pytest.raises(UnusableFile, match=rf"targets\.yaml:9: netsuite-us: .*({said})"):
        load_targets(write(folder), ENVIRONMENT)


FAULTS = [
    (
        "kind: sap",
        "kind: sage",
        r":31: sap: kind must be one of netsuite, oracle, dynamics, sap, tryton, file",
    ),
    ("calls_at_once: 5", "calls_at_once: 0", r"targets\.yaml:12: netsuite-us: calls_at_once: Input should be greater"),
    ("calls_at_once: 5", "calls: 5", r"targets\.yaml:12: netsuite-us: calls: Extra inputs are not permitted"),
    ("    auth.user: ann\n    auth.password: $", "    auth.password: $", r":14: oracle: auth = basic needs auth.user"),
    ("${env:SAP_URL}", "ftp://sap.example", r"targets\.yaml:32: sap: url: String should match"),
    ("${env:SAP_URL}", "${env:GONE}", r"targets\.yaml:32: sap: url: .*GONE.* refers to nothing"),
    ("mapping: sap.yaml", "mapping: gone.yaml", r"gone\.yaml: cannot be read"),
    ("mapping: sap.yaml", "mapping: oracle.yaml", r"oracle\.yaml:1: reference: Field required"),
    ("folder: exchange", "folders: exchange", r"targets\.yaml:37: legacy: folder: Field required"),
    ("version: 1", "version: 2", r"targets\.yaml:1: version: Input should be 1"),
    ("    database: erp\n", "", r"targets\.yaml:40: tryton: database: Field required"),
    ("mapping: tryton.yaml", "mapping: oracle.yaml", r"oracle\.yaml:1: legal_entities: Field required"),
    ("    mapping: tryton.yaml", "    calls_at_once: 2\n    mapping: tryton.yaml", r":46: tryton: calls_at_once: "),
    ("known_hosts: known_hosts", "known_hosts: gone", r"targets\.yaml:51: old: sftp: known_hosts cannot be read"),
    ("      user: throughline\n", "", r"targets\.yaml:51: old: sftp: user: Field required"),
    ("host: files.example", "host: ${env:GONE}", r"targets\.yaml:52: old: host: .*GONE.* refers to nothing"),
    ("  legacy:", "  Legacy:", r"targets\.yaml:37: Legacy: it names files: use small letters"),
    ("  legacy:", "  leg/acy:", r"targets.*: String should match pattern"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), FAULTS)
def test_what_is_wrong_is_told_with_its_place(folder: Path, right: str, wrong: str, said: str) -> None:
    assert right in TARGETS
    with pytest.raises(UnusableFile, match=said):
        load_targets(write(folder, TARGETS.replace(right, wrong, 1)), ENVIRONMENT)


def test_all_that_is_wrong_is_told_at_once_and_no_secret_with_it(folder: Path) -> None:
    text = TARGETS.replace("calls_at_once: 5", "calls_at_once: x").replace("    auth.user: ann\n", "    auth.user: 7\n")
    with pytest.raises(UnusableFile) as raised:
        load_targets(write(folder, text), ENVIRONMENT)
    assert [fault.split(": ")[1:3] for fault in raised.value.faults] == [
        ["netsuite-us", "calls_at_once"],
        ["oracle", "auth.user"],
        ["sap", "auth.user"],
    ]
    assert "s3cret" not in str(raised.value)
