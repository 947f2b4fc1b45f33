"""Fetching by Maven: what a part depends on, resolved and copied into one folder.

The user's own settings (`~/.m2/settings.xml`) go before ours: a mirror named there is used. Ours send everything else
to Central, since some poms name repositories that are long gone.
"""

import subprocess
import time
from collections import deque
from pathlib import Path
from xml.sax.saxutils import escape

from stack.errors import Say, StackError
from stack.tools import maven
from stack.versions import Maven, PartVersion

SAY_EVERY_SECONDS = 2.0
_CONNECT_MS_MAX = 10_000
_ANSWER_MS_MAX = 60_000
_LINES_SHOWN = 6


def pom(name: str, part: PartVersion) -> str:
    """A project that does nothing but depend on the jars of a part."""
    dependencies = "".join(
        f"    <dependency><groupId>{escape(group)}</groupId><artifactId>{escape(artifact)}</artifactId>"
        f"<version>{escape(version)}</version></dependency>\n"
        for group, artifact, version in part.coordinates()
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0">\n'
        "  <modelVersion>4.0.0</modelVersion>\n"
        f"  <groupId>throughline.stack</groupId><artifactId>{escape(name)}</artifactId>"
        f"<version>{escape(part.version)}</version><packaging>pom</packaging>\n"
        f"  <dependencies>\n{dependencies}  </dependencies>\n"
        "</project>\n"
    )


def settings(central: str) -> str:
    """Settings with one mirror of everything."""
    return (
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0">\n'
        "  <mirrors><mirror><id>everything-from-central</id><mirrorOf>*</mirrorOf>"
        f"<url>{escape(central)}</url></mirror></mirrors>\n"
        "</settings>\n"
    )


def copy_dependencies(name: str, part: PartVersion, source: Maven, into: Path, say: Say) -> None:
    """Resolve the jars of a part with all they need, and copy them into the folder `into`.

    Raises:
        StackError: There is no Maven, or it failed; the message has Maven's own first errors.
    """
    program = maven()
    into.mkdir(parents=True, exist_ok=True)
    project, mirror = into.parent / "pom.xml", into.parent / "settings.xml"
    project.write_text(pom(name, part), encoding="utf-8")
    mirror.write_text(settings(source.central), encoding="utf-8")
    command = [
        program,
        *("--batch-mode", "--strict-checksums"),
        # Global settings: those of the user are merged over them, and win.
        *("--global-settings", str(mirror), "--file", str(project)),
        f"-Daether.connector.connectTimeout={_CONNECT_MS_MAX}",
        f"-Daether.connector.requestTimeout={_ANSWER_MS_MAX}",
        *("-DincludeScope=runtime", f"-DoutputDirectory={into}"),
        *([f"-DexcludeGroupIds={','.join(part.without)}"] if part.without else []),
        f"{source.plugin}:copy-dependencies",
    ]
    _run(command, f"{name} {part.version}", say)


def _run(command: list[str], what: str, say: Say) -> None:
    fetched, first_error, last_lines = 0, "", deque[str](maxlen=_LINES_SHOWN)
    began = said_at = time.monotonic()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            fetched += "Downloaded from" in line
            last_lines.append(line)
            if line.startswith("[ERROR]") and not first_error:  # what follows is advice on using Maven
                first_error = line.removeprefix("[ERROR]").removesuffix("-> [Help 1]\n").strip()
            if time.monotonic() - said_at >= SAY_EVERY_SECONDS:
                said_at = time.monotonic()
                say(f"{what}: {fetched} files fetched in {said_at - began:.0f} s")
    if child.returncode:
        raise StackError(
            f"Maven cannot fetch {what}: {first_error or ''.join(last_lines).strip()}\n"
            "It needs the network, or a mirror in ~/.m2/settings.xml; run the same command again"
        )
