"""The examples of the page on targets work as they stand."""

import re
from pathlib import Path

from joserfc.jwk import RSAKey

from streams.engine.targets import load_targets
from tests.tidy.house import ROOT

PAGE = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"```yaml\n# (\S+)\n(.*?)```", re.DOTALL)


def test_the_examples_are_a_file_of_targets_and_its_mappings(tmp_path: Path) -> None:
    examples = dict(EXAMPLE.findall(PAGE))
    for name, text in examples.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "netsuite.pem").write_bytes(RSAKey.generate_key(2048).as_pem(private=True))
    (tmp_path / "known_hosts").touch()
    environment = dict.fromkeys(re.findall(r"\$\{env:([A-Z_]+)\}", examples["targets.yaml"]), "x")
    targets = load_targets(tmp_path / "targets.yaml", environment)
    mapped = {f"{name}.yaml" for name in targets.names if targets.target(name).kind != "file"}
    assert mapped == examples.keys() - {"targets.yaml"}
    for name in targets.names:
        if targets.target(name).place.startswith("sftp:"):
            continue  # opening it would connect
        targets.open(name).close()
