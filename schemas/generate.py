"""Write the .avsc files from their descriptions: `python -m schemas.generate [--canonical MODULE]`.

Source envelopes come from the mapping files, derived records from derived.yaml, canonical facts from NamedTuple
classes: MODULE has `CONTRACTS`, the classes to write, and `DOCS`, class name -> field -> what it means (see
`schemas.avro`). Rows that mapping files describe need no entry there. The files written are checked in, and are what
runs.
"""

import importlib
import json
import sys
from pathlib import Path

from schemas.avro import Docs, Schema, avro_of, derived_schema, row_docs, source_schema
from schemas.lined_yaml import load
from schemas.mapping import MAPPINGS_FOLDER, load_mappings
from schemas.mapping_file import DerivedFile, MappingFile

SCHEMAS_FOLDER = Path(__file__).parent
DERIVED_FILE = SCHEMAS_FOLDER / "derived.yaml"


def described(canonical_module: str | None = None) -> dict[str, Schema]:
    """Return the schemas that the descriptions yield, by file name within the schemas folder."""
    load_mappings()
    files = [load(path, MappingFile).content for path in sorted(MAPPINGS_FOLDER.glob("*.yaml"))]
    wanted: dict[str, Schema] = {}
    for file in files:
        for topic, entry in file.topics.items():
            if not entry.like:
                wanted[f"source/{topic}.avsc"] = source_schema(topic, entry)
    for topic, derived in load(DERIVED_FILE, DerivedFile).content.root.items():
        wanted[f"derived/{topic}.avsc"] = derived_schema(topic, derived)
    if canonical_module:
        module = importlib.import_module(canonical_module)
        docs: Docs = {**row_docs(files), **module.DOCS}
        for record in module.CONTRACTS:
            wanted[f"canonical/{record.__name__}.avsc"] = avro_of(record, docs)
    return wanted


def text_of(schema: Schema) -> str:
    """Return a schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path, canonical_module: str | None = None) -> list[str]:
    """Write the schemas that changed, and return their file names."""
    changed = []
    for name, schema in described(canonical_module).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text_of(schema):
            path.write_text(text_of(schema), "utf-8")
            changed.append(name)
    return changed


if __name__ == "__main__":
    for written in write(SCHEMAS_FOLDER, sys.argv[2] if sys.argv[1:2] == ["--canonical"] else None):
        print(f"wrote {written}")
