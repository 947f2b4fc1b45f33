"""Java, Maven, PostgreSQL, Prometheus, docker-compose and sshd: found, too old, missing, installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stack import install
from stack.errors import StackError
from stack.install import as_root, missing
from stack.tools import ask, docker_compose, java, maven, postgresql, prometheus, promtool, sshd
from tests.support.programs import put_program

NO_JAVA = "there is no Java on the PATH, and the stack needs 17 or newer: apt install default-jre-headless maven"
NO_PROMETHEUS = "there is no prometheus on the PATH, which keeps the metrics: apt install prometheus"
NO_PROMTOOL = "there is no promtool on the PATH, which checks the alerts: apt install prometheus"
NO_DOCKER_COMPOSE = "there is no docker-compose on the PATH, which reads docker-compose.yml: apt install docker-compose"
NO_SSHD = "there is no sshd on the PATH, which SFTP is tried with: apt install openssh-server"
NO_MAVEN = "there is no Maven (mvn) on the PATH, and the jars come by it: apt install default-jre-headless maven"
JAVA_21 = """echo 'openjdk version "21.0.2" 2024-01-16' >&2"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH; it is empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("stack.tools.DEBIAN_POSTGRESQL", tmp_path / "debian")
    monkeypatch.setattr("stack.tools.DEBIAN_SSHD", tmp_path / "debian" / "sshd")
    return folder


def no_postgresql(tmp_path: Path) -> str:
    debian = tmp_path / "debian"
    return f"there is no PostgreSQL on the PATH or in {debian}, which keeps the databases: apt install postgresql"


def absent_from(tmp_path: Path) -> list[str]:
    """What is said where there is nothing."""
    return [NO_JAVA, NO_MAVEN, no_postgresql(tmp_path), NO_PROMETHEUS, NO_PROMTOOL, NO_DOCKER_COMPOSE, NO_SSHD]


def put_postgresql(folder: Path, version: str) -> Path:
    for name in ("initdb", "pg_isready", "psql"):
        put_program(folder, name, "")
    return put_program(folder, "postgres", f"echo 'postgres (PostgreSQL) {version}'")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("15.18 (Debian 15.18-0+deb12u1)", "15.18"),
        ("17.2", "17.2"),
        ("14.9", "is version 14.9, and the stack needs 15 or newer: apt install postgresql"),
        ("devel", "--version does not say its version"),
    ],
)
def test_a_postgresql_that_is_new_enough_is_taken(programs: Path, version: str, said: str) -> None:
    path = put_postgresql(programs, version)
    if said[0].isdigit():
        assert postgresql() == (programs, said)
        return
    with pytest.raises(StackError) as refused:
        postgresql()
    assert str(refused.value) == f"{path} {said}"


def test_of_the_postgresqls_beside_the_path_the_newest_is_taken(programs: Path, tmp_path: Path) -> None:
    for version in ("9", "15", "16"):
        put_postgresql(tmp_path / "debian" / version / "bin", f"{version}.1")
    assert postgresql() == (tmp_path / "debian" / "16" / "bin", "16.1")


def test_a_prometheus_says_its_version(programs: Path) -> None:
    path = put_program(programs, "prometheus", "echo 'prometheus, version 2.42.0+ds (branch: debian/sid)' >&2")
    assert prometheus() == (str(path), "2.42.0")
    put_program(programs, "prometheus", "echo 'prometheus, version 2.9.1' >&2")
    with pytest.raises(StackError, match=r"is version 2\.9\.1, and the stack needs 2\.42 or newer: apt install prom"):
        prometheus()


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ('openjdk version "17.0.15" 2025-04-15', True),
        ('openjdk version "21" 2023-09-19', True),
        ('java version "24.0.1"', True),
        ('openjdk version "11.0.22" 2024-01-16', False),
        ('java version "1.8.0_402"', False),
    ],
)
def test_a_java_that_is_new_enough_is_taken(programs: Path, said: str, fits: bool) -> None:
    path = put_program(programs, "java", f"echo '{said}' >&2")
    if fits:
        assert java() == str(path)
        return
    with pytest.raises(StackError, match=rf"^{path} is Java (8|11), and the stack needs 17 or newer: apt install "):
        java()


def test_java_home_goes_before_the_path(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(programs, "java", "exit 1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    with pytest.raises(StackError, match=f"there is no Java in JAVA_HOME={tmp_path / 'jdk'}, and the stack needs 17"):
        java()
    own = put_program(tmp_path / "jdk" / "bin", "java", JAVA_21)
    assert java() == str(own)


def test_a_java_that_says_nothing_is_refused(programs: Path) -> None:
    put_program(programs, "java", "echo broken >&2; exit 1")
    with pytest.raises(StackError, match="does not say its version: 'broken'"):
        java()


def test_what_is_missing_is_named_with_its_package(programs: Path, tmp_path: Path) -> None:
    assert missing() == absent_from(tmp_path)
    put_program(programs, "java", JAVA_21)
    put_postgresql(programs, "15.1")
    put_program(programs, "prometheus", "echo 'prometheus, version 2.42.0'")
    paths = [put_program(programs, name, "") for name in ("mvn", "promtool", "docker-compose")]
    paths.append(put_program(programs, "sshd", ""))
    assert missing() == []
    assert [maven(), promtool(), docker_compose(), sshd()] == [str(path) for path in paths]


def test_the_command_line_says_it_without_a_traceback(tmp_path: Path) -> None:
    """`throughline stack up` on a machine without Java."""
    surroundings = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"} | {"PATH": str(tmp_path)}
    command = [sys.executable, "-c", "from streams.cli import main; main()", "stack"]
    options = ["--folder", str(tmp_path / "room")]
    up = subprocess.run(
        [*command, "up", "kafka", "--port", "0", *options],
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (up.returncode, up.stdout, up.stderr) == (2, "", f"throughline: {NO_JAVA}\n")
    down = subprocess.run(
        [*command, "down", "--wipe", *options], env=surroundings, capture_output=True, text=True, check=False
    )
    assert (down.returncode, down.stderr) == (0, f"nothing was started in {tmp_path / 'room'}\n")
    assert [*tmp_path.iterdir()] == []


def test_a_command_that_cannot_be_run_or_hangs_is_an_error(programs: Path) -> None:
    with pytest.raises(StackError, match=r"^nothing cannot be run: No such file or directory$"):
        ask(["nothing"], 1)
    with pytest.raises(StackError, match=r"^/bin/sleep 60 did not end within 0 s$"):
        ask(["/bin/sleep", "60"], 0.01)


@pytest.mark.parametrize(
    ("programs_there", "environment", "user", "before"),
    [
        ({"apt-get"}, {}, 0, []),
        ({"apt-get", "sudo"}, {"CI": "true"}, 1000, ["sudo", "-n"]),
        ({"apt-get", "sudo"}, {}, 1000, None),
        ({"apt-get"}, {"CI": "true"}, 1000, None),
        ({"dnf", "sudo"}, {"CI": "true"}, 0, None),
    ],
)
def test_packages_are_installed_only_where_nobody_needs_to_be_asked(
    programs_there: set[str], environment: dict[str, str], user: int, before: list[str] | None
) -> None:
    assert as_root(environment, user, lambda name: name if name in programs_there else None) == before


def test_as_root_what_is_missing_is_installed(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # An apt that "installs" by making the programs appear.
    put_program(
        programs,
        "apt-get",
        f"""echo "apt $@ ($DEBIAN_FRONTEND)"
        [ "$1" = install ] || exit 0
        /bin/cp {put_program(programs / "later", "java", JAVA_21)} {programs}/java
        /bin/cp {put_program(programs / "later", "mvn", "")} {programs}/mvn
        /bin/cp {put_postgresql(programs / "later", "15.1").parent}/* {programs}
        /bin/cp {put_program(programs / "later", "prometheus", "echo prometheus, version 2.42.0")} {programs}/prometheus
        /bin/cp {put_program(programs / "later", "promtool", "")} {programs}/promtool
        /bin/cp {put_program(programs / "later", "docker-compose", "")} {programs}/docker-compose
        /bin/cp {put_program(programs / "later", "sshd", "")} {programs}/sshd""",
    )
    put_program(programs, "systemctl", 'echo "systemctl $@"')
    put_program(programs, "update-ca-certificates", 'echo "certificates $@"')
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert install.main() == 0
    said = capfd.readouterr()
    assert said.out.splitlines() == [
        "apt update -q (noninteractive)",
        "systemctl mask --quiet postgresql.service",
        "systemctl mask --quiet prometheus.service",
        "systemctl mask --quiet ssh.service",
        "apt install -q -y --no-install-recommends default-jre-headless maven postgresql prometheus docker-compose "
        "openssh-server (noninteractive)",
        "certificates --fresh",
        f"Java: {programs}/java",
        f"Maven: {programs}/mvn",
        f"PostgreSQL: {programs}",
        f"Prometheus: {programs}/prometheus",
        f"promtool: {programs}/promtool",
        f"docker-compose: {programs}/docker-compose",
        f"sshd: {programs}/sshd",
    ]
    assert said.err.splitlines() == [*absent_from(tmp_path), "installing by apt"]
    assert install.main() == 0
    assert "apt" not in capfd.readouterr().out


def test_elsewhere_the_command_is_printed(programs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert install.main() == 1
    said = capfd.readouterr()
    assert (said.out, said.err.splitlines()) == ("", absent_from(tmp_path))


def test_sshd_is_found_where_debian_keeps_it(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StackError, match=NO_SSHD):
        sshd()
    kept = put_program(tmp_path, "sshd", "")
    monkeypatch.setattr("stack.tools.DEBIAN_SSHD", kept)
    assert sshd() == str(kept)
    on_the_path = put_program(programs, "sshd", "")
    assert sshd() == str(on_the_path)


def test_a_server_that_is_there_is_left_as_it_is(programs: Path) -> None:
    put_postgresql(programs, "15.1")
    put_program(programs, "systemctl", "")
    put_program(programs, "sshd", "")
    _, mask, install_by_apt = install.commands(shutil.which)
    assert mask == ["systemctl", "mask", "--quiet", "prometheus.service"]
    assert install_by_apt[-4:] == ["default-jre-headless", "maven", "prometheus", "docker-compose"]
    put_program(programs, "docker-compose", "")
    assert install.commands(shutil.which)[-1][-3:] == ["default-jre-headless", "maven", "prometheus"]
    put_program(programs, "promtool", "")
    put_program(programs, "prometheus", "echo prometheus, version 2.42.0")
    assert [step[0] for step in install.commands(shutil.which)] == ["apt-get", "apt-get"]
