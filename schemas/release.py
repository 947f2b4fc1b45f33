"""Releases of contracts: which versions were published, whether the current ones may follow, and publishing them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import orjson

from schemas.compatibility import Breach, breaches
from schemas.contracts import SCHEMAS_FOLDER, Contract, Level, Schema, fingerprint, load_contracts, read_schema
from schemas.generate import text_of
from schemas.lined_yaml import UnusableFile, shown
from schemas.registry import FIRST_ID, read_manifest, released_file

_VERSION = re.compile(r"v[1-9][0-9]*")


class Refusal(NamedTuple):
    """One reason why a contract may not change as it did."""

    subject: str
    path: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.subject}: {self.path}" if self.path else self.subject
        return f"{place}: {self.reason}"


def released_versions(folder: Path, subject: str) -> dict[int, Schema]:
    """Return the released schemas of a contract by version; none if it was never released."""
    paths = {int(path.stem[1:]): path for path in _released_files(folder, subject)}
    return {version: read_schema(paths[version]) for version in sorted(paths)}


def _released_files(folder: Path, subject: str = "*") -> list[Path]:
    paths = sorted((folder / "released").glob(f"{subject}/*.avsc"))
    if odd := [path for path in paths if not _VERSION.fullmatch(path.stem)]:
        raise UnusableFile([f"{shown(path)}: a release is named by its version, such as v1.avsc" for path in odd])
    return paths


def refusals(folder: Path = SCHEMAS_FOLDER) -> list[Refusal]:
    """Return why the current contracts of a folder may not follow what was released from it.

    Raises UnusableFile if a contract or the manifest cannot be read.
    """
    contracts = load_contracts(folder)
    found = [refusal for contract in contracts.values() for refusal in _contract_refusals(folder, contract)]
    released = folder / "released"
    gone = sorted(path.name for path in released.glob("*") if path.is_dir() and path.name not in contracts)
    return found + [Refusal(subject, "", "it was released, and its contract is gone") for subject in gone]


def _contract_refusals(folder: Path, contract: Contract) -> Iterator[Refusal]:
    versions = released_versions(folder, contract.subject)
    if contract.level is Level.BACKWARD:
        versions = dict(list(versions.items())[-1:])
    for version, released in versions.items():
        for breach in breaches(released, contract.schema):
            yield _refusal(contract, breach, f"records of release {version} can no longer be read")
        if contract.level is Level.FULL_TRANSITIVE:
            for breach in breaches(contract.schema, released):
                yield _refusal(contract, breach, f"readers of release {version} can not read new records")


def _refusal(contract: Contract, breach: Breach, effect: str) -> Refusal:
    return Refusal(contract.subject, breach.path, f"{effect} ({contract.level}): {breach.reason}")


def unreleased(folder: Path = SCHEMAS_FOLDER) -> list[str]:
    """Return the contracts whose current schema is not that of their newest release."""
    changed = []
    for subject, contract in load_contracts(folder).items():
        newest = list(released_versions(folder, subject).values())[-1:]
        if [fingerprint(contract.schema)] != [fingerprint(schema) for schema in newest]:
            changed.append(subject)
    return changed


def check_manifest(folder: Path = SCHEMAS_FOLDER) -> None:
    """Check that ids rise from the first without a gap, and that each names the release it was given for, and each one.

    Raises UnusableFile naming the id, or the release that has none.
    """
    faults, without_id = [], set(_released_files(folder))
    for expected, (number, entry) in enumerate(read_manifest(folder).items(), FIRST_ID):
        path = released_file(folder, entry["subject"], entry["version"])
        without_id.discard(path)
        where = f"{shown(folder / 'manifest.json')}: id {number}"
        if int(number) != expected:
            faults.append(f"{where}: {expected} is next; ids are given in order, and none is ever taken back")
        elif not path.exists():
            faults.append(f"{where}: {shown(path)} is missing")
        elif fingerprint(read_schema(path)) != entry["fingerprint"]:
            faults.append(f"{where}: {shown(path)} is not what was released: a release never changes")
    faults.extend(f"{shown(path)}: the manifest gives this release no id" for path in sorted(without_id))
    if faults:
        raise UnusableFile(faults)


def release(folder: Path = SCHEMAS_FOLDER) -> list[str]:
    """Publish every contract that changed: copy it beside its former versions and give it an id; return which.

    Raises UnusableFile with all refusals if one may not change as it did; nothing is published then.
    """
    check_manifest(folder)
    if refused := refusals(folder):
        raise UnusableFile([str(refusal) for refusal in refused])
    manifest: dict[str, Mapping[str, object]] = dict(read_manifest(folder))
    contracts, published = load_contracts(folder), []
    for subject in unreleased(folder):
        schema = contracts[subject].schema
        version = max(released_versions(folder, subject), default=0) + 1
        path = released_file(folder, subject, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(schema), "utf-8")
        number = str(FIRST_ID + len(manifest))
        manifest[number] = {"subject": subject, "version": version, "fingerprint": fingerprint(schema)}
        published.append(f"{subject} version {version}, id {number}")
    if published:
        (folder / "manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    return published
