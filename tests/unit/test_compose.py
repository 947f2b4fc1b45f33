"""docker-compose.yml: valid, safe as it stands, and of the same versions and settings as the local stack."""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stack.parts import OPTIONAL
from stack.room import KAFKA_PORT, PORTS_BESIDE
from stack.versions import versions
from streams.config import load
from tests.support import compose
from tests.tidy.house import ROOT

SERVICES = compose.services()
ALL = compose.services(compose.MAIN, compose.THREE_BROKERS)
FILES = (compose.MAIN, compose.THREE_BROKERS)
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
BUILT = {"deploy/Dockerfile": f"throughline:{VERSION}", "deploy/connect.Dockerfile": "throughline-connect:{debezium}"}
IMAGES = {"databases": "postgresql", "kafka-2": "kafka", "kafka-3": "kafka"}
"""Services that run the image of a part by another name."""

MEMORY_MIB_MAX = 4_096
SECRET = re.compile(r"password|secret|token|credential", re.IGNORECASE)
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::-([^}]*))?\}")


def specification(*files: Path) -> subprocess.CompletedProcess[str]:
    """Hold files against the JSON schema that the Compose specification publishes."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_files_are_what_the_compose_specification_says() -> None:
    checked = specification(*FILES)
    assert checked.returncode == 0, checked.stdout


def test_a_file_that_is_not_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text("services: {a: {image: a:1, helthcheck: {}}}", encoding="utf-8")
    checked = specification(wrong)
    assert checked.returncode == 1
    assert "helthcheck" in checked.stdout


# -- images


@pytest.mark.parametrize("name", ALL)
def test_an_image_is_the_one_that_the_local_stack_names(name: str) -> None:
    service = ALL[name]
    if "build" in service:
        assert service["build"]["context"] == "."
        built = BUILT[service["build"]["dockerfile"]]
        assert service["image"] == built.format(debezium=versions().parts["debezium"].version)
    else:
        assert service["image"] == versions().images()[IMAGES.get(name, name)]


def test_images_are_built_on_those_that_are_named_and_what_they_fetch_is_of_the_version_that_is_named() -> None:
    bases = {file: set(re.findall(r"^FROM (\S+)", (ROOT / file).read_text("utf-8"), re.MULTILINE)) for file in BUILT}
    images = versions().images()
    assert bases == {
        "deploy/Dockerfile": {images["python"]},
        "deploy/connect.Dockerfile": {images["python"], images["debezium"]},
    }
    fetched = re.findall(r"jmx_prometheus_javaagent-([\d.]+)\.jar", (ROOT / "deploy/connect.Dockerfile").read_text())
    assert fetched == [versions().parts["jmx-exporter"].version]


def test_every_image_that_is_named_is_used() -> None:
    used = {service["image"] for service in ALL.values()} | {
        base for file in BUILT for base in re.findall(r"^FROM (\S+)", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    }
    assert set(versions().images().values()) - used == set()


@pytest.mark.parametrize("file", ["deploy/Dockerfile"])
def test_what_we_build_does_not_run_as_root(file: str) -> None:
    last_stage = (ROOT / file).read_text("utf-8").rsplit("\nFROM ", maxsplit=1)[1]
    (user,) = re.findall(r"^USER (\d+)$", last_stage, re.MULTILINE)
    assert int(user) > 0


# -- what a service can be relied on for


@pytest.mark.parametrize("name", ALL)
def test_a_service_says_how_it_is_or_ends_by_itself(name: str) -> None:
    service = ALL[name]
    one_shot = compose.is_one_shot(service)
    assert one_shot != ("healthcheck" in service)
    assert service["restart"] == ("no" if one_shot else "unless-stopped")
    if not one_shot:
        assert {"test", "interval", "timeout", "retries"} <= service["healthcheck"].keys()


@pytest.mark.parametrize("name", ALL)
def test_what_a_service_waits_for_can_become_so(name: str) -> None:
    for other, how in ALL[name].get("depends_on", {}).items():
        ends = compose.is_one_shot(ALL[other])
        assert how == {"condition": "service_completed_successfully" if ends else "service_healthy"}, other


def test_whoever_needs_kafka_waits_for_every_broker() -> None:
    brokers = {name for name in ALL if name.startswith("kafka")}
    for name in ("registry", "connect", "topics"):
        assert brokers <= ALL[name]["depends_on"].keys(), name


def test_memory_has_a_limit_and_the_whole_fits() -> None:
    limits = {name: int(service["mem_limit"].removesuffix("m")) for name, service in ALL.items()}
    lasting = [limits[name] for name, service in SERVICES.items() if not compose.is_one_shot(service)]
    assert sum(lasting) <= MEMORY_MIB_MAX


# -- what is reached from where


def test_ports_of_the_host_are_on_loopback_and_those_of_the_local_stack() -> None:
    published = {name: service["ports"] for name, service in ALL.items() if "ports" in service}
    expected = {part: KAFKA_PORT + beside for part, beside in PORTS_BESIDE.items() if part not in OPTIONAL}
    expected |= {"kafka": KAFKA_PORT, "kafka-2": KAFKA_PORT + 1, "kafka-3": KAFKA_PORT + 2, "grafana": 19_030}
    assert {name: [port.rpartition(":")[0] for port in ports] for name, ports in published.items()} == {
        name: [f"127.0.0.1:{port}"] for name, port in expected.items()
    }


def test_a_worker_can_be_there_more_than_once() -> None:
    worker = SERVICES["worker"]
    assert {"container_name", "ports", "hostname"} & worker.keys() == set()
    state = [volume for volume in worker["volumes"] if "state" in volume]
    assert state == ["/var/lib/throughline/state"], "a named volume would be one folder of state for all workers"
    assert "9187/ready" in " ".join(worker["healthcheck"]["test"])


def test_whoever_reads_topics_finds_kafka_and_the_registry_in_a_network_of_their_own() -> None:
    assert compose.read(compose.MAIN)["networks"] == {
        "inside": {"name": "throughline-inside"},
        "console": {"name": "throughline-console"},
    }
    assert {name for name, service in ALL.items() if "console" in service["networks"]} == {
        "kafka", "kafka-2", "kafka-3", "registry",
    }  # fmt: skip
    assert all("inside" in service["networks"] for service in ALL.values())


@pytest.mark.parametrize("kind", ["networks", "volumes", "secrets"])
def test_what_is_declared_is_used_and_what_is_used_is_declared(kind: str) -> None:
    declared = {name for file in FILES for name in compose.read(file).get(kind, {})}
    used = {name.split(":")[0] for service in ALL.values() for name in service.get(kind, [])}
    named = {name for name in used if not name.startswith(("/", "."))}
    assert named == declared


def test_what_is_mounted_from_the_tree_is_there_and_cannot_be_written() -> None:
    mounts = [one for service in ALL.values() for one in service.get("volumes", []) if one.startswith(".")]
    assert mounts
    for mount in mounts:
        path, _, how = mount.split(":")
        assert (ROOT / path).is_dir()
        assert how == "ro"


def test_no_volume_belongs_to_two_services_but_the_exchange_of_the_workers() -> None:
    named = Counter(one.split(":")[0] for service in ALL.values() for one in service.get("volumes", []))
    assert [name for name, times in named.items() if times > 1] == []


# -- secrets


def test_no_secret_is_written_down() -> None:
    for name, service in ALL.items():
        for variable, value in compose.environment(service).items():
            if SECRET.search(variable):
                places = ["/run/secrets", *(f"/run/secrets/{secret}" for secret in service["secrets"])]
                assert variable.endswith(("_FILE", "_FOLDER")), f"{name}: {variable}"
                assert value in places, f"{name}: {variable}"
    for file in FILES:
        text = file.read_text("utf-8")
        assert re.findall(r"://[^/\s]*:[^/\s]*@", text) == []
        assigned = re.findall(r"\w*PASSWORD=(\S+ \S+)", text)
        assert [one for one in assigned if not re.fullmatch(r"\$\$\(cat /run/secrets/[\w-]+\)", one)] == []


def secrets_of_apply() -> set[str]:
    """The secrets that deploy/postgresql/apply reads: the superuser's, and one for each database of a connector."""
    script = (ROOT / "deploy" / "postgresql" / "apply").read_text("utf-8")
    databases = re.findall(r"^apply (\w+) \w+$", script, re.MULTILINE)
    assert set(databases) <= {path.parent.name for path in (ROOT / "connect").glob("*/*.sql")}
    assert [*databases] == [word for word in SERVICES["connectors"]["command"][2:] if word.isalpha()]
    return {f"{name}-password" for name in ("postgresql", *databases)}


def test_a_service_has_the_secrets_that_it_reads_and_no_others() -> None:
    for name, service in ALL.items():
        read = {found for text in compose.texts(service) for found in re.findall(r"/run/secrets/([\w-]+)", text)}
        if name == "databases":
            read = secrets_of_apply()
        assert read == set(service.get("secrets", [])), name


def test_secrets_are_made_once_where_nobody_else_looks(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"

    def make() -> list[str]:
        command = [str(ROOT / "deploy" / "make-secrets"), str(folder)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    files = {Path(secret["file"]) for secret in compose.read(compose.MAIN)["secrets"].values()}
    assert {file.parent for file in files} == {Path(".secrets")}
    assert {Path(line.removeprefix("made ")).name for line in make()} == {file.name for file in files}
    made = {file.name: file.read_text("ascii") for file in folder.iterdir()}
    assert made.keys() == {file.name for file in files}
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch(r"[\w-]{32}", secret) for secret in made.values())
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "grafana-password").unlink()
    assert make() == [f"made {folder}/grafana-password"]
    again = {file.name: file.read_text("ascii") for file in folder.iterdir()}
    assert [name for name in made if again[name] != made[name]] == ["grafana-password"]


def test_neither_secrets_nor_what_is_told_gets_into_the_repository_or_an_image() -> None:
    for file in (".gitignore", ".dockerignore"):
        lines = (ROOT / file).read_text("utf-8").splitlines()
        assert {".env", ".secrets", ".secrets/"} & set(lines) in ({".env", ".secrets"}, {".env", ".secrets/"}), file


# -- what can be told


def test_what_can_be_told_has_a_default_which_is_in_the_example() -> None:
    asked = {found for file in FILES for found in VARIABLE.findall(file.read_text("utf-8"))}
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    example = dict(line.split("=", maxsplit=1) for line in lines if line and not line.startswith("#"))
    assert example.pop("COMPOSE_PROJECT_NAME") == "throughline"  # of Compose itself
    assert example == dict(asked)


@pytest.mark.parametrize("name", ["topics", "connectors", "watch", "worker"])
def test_settings_are_those_of_throughline(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    told: dict[str, Any] = {
        variable: VARIABLE.sub(r"\2", value) for variable, value in compose.environment(SERVICES[name]).items()
    }
    others = {variable: told.pop(variable) for variable in [*told] if not variable.startswith("THROUGHLINE_")}
    assert others.items() <= compose.environment(SERVICES["connect"]).items()
    for variable, value in told.items():
        monkeypatch.setenv(variable, value)
    settings = load(None)
    assert settings.brokers == "kafka:9092"
    assert settings.contracts.registry_url == "http://registry:8080/apis/ccompat/v7"
    assert settings.connect_url == "http://connect:8083"
    if name == "worker":
        assert (settings.metrics_host, settings.metrics_port) == ("0.0.0.0", 9187)
        assert settings.feeds_expected == ("psa",)
    for variable in told:
        monkeypatch.delenv(variable)
    defaults = load(None)
    assert (settings.group, settings.partitions) == (defaults.group, defaults.partitions)
