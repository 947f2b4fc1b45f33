"""YAML files checked against a pydantic model, with errors that name file, line and value.

Every hand-written file of the product is read this way, so that a slip is found at start and at its place.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

# The loader in C is ten times as fast, and not in every build of the library.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

PROJECT_ROOT = Path(__file__).resolve().parent.parent
Place = Sequence[str | int]
"""Where in a file: keys and list positions from the top, such as ("topics", "hr.Worker", "key", 0)."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class UnusableFile(ValueError):
    """A file cannot be used. The text names file, line and value, one line for each fault found."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(faults))


class LinedFile(Generic[ModelT]):
    """A checked YAML file: `content` is the model, `line` tells where a part of it stands."""

    def __init__(self, path: Path, content: ModelT, root: yaml.Node, text: bytes) -> None:
        self.path = path
        self.content = content
        self.text = text
        self._root = root

    def fault(self, place: Place, problem: str) -> str:
        """Return the text of a fault: `file:line: problem`."""
        return f"{self.where(place)}: {problem}"

    def where(self, place: Place) -> str:
        """Return `file:line` of a part."""
        return f"{shown(self.path)}:{line_of(self._root, place)}"


def shown(path: Path) -> str:
    """Return a path as messages show it: within the project from its root, elsewhere as it is."""
    resolved = path.resolve()
    return str(resolved.relative_to(PROJECT_ROOT)) if resolved.is_relative_to(PROJECT_ROOT) else str(path)


def load(path: Path, model: type[ModelT]) -> LinedFile[ModelT]:
    """Read a YAML file and check it against a model.

    Raises UnusableFile if the file is missing, no YAML, names a key twice, or does not fit the model.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UnusableFile([f"{shown(path)}: cannot be read: {error.strerror}"]) from error
    try:
        root, plain = _composed(text)
    except yaml.YAMLError as error:
        raise UnusableFile([_yaml_fault(path, error)]) from error
    if root is None:
        raise UnusableFile([f"{shown(path)}:1: the file is empty"])
    if repeated := [f"{shown(path)}:{line}: {key!r} is there twice" for key, line in _repeated_keys(root)]:
        raise UnusableFile(repeated)
    try:
        content = model.model_validate(plain)
    except ValidationError as error:
        raise UnusableFile(
            [f"{shown(path)}:{line_of(root, fault['loc'])}: {_model_fault(fault)}" for fault in error.errors()]
        ) from error
    return LinedFile(path, content, root, text)


def line_of(root: yaml.Node, place: Place) -> int:
    """Return the line, from 1, of a place in a composed file; of its nearest part if the place is not there."""
    node, line = root, root.start_mark.line
    for step in place:
        found = _child(node, step)
        if found is None:
            continue  # pydantic names the kind of a part as a step, which is none of the file
        node, line = found
    return line + 1


def _composed(text: bytes) -> tuple[yaml.Node | None, Any]:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        return root, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if str(step) in _spellings(key):
                return value, key.start_mark.line
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line
    return None


def _spellings(key: yaml.Node) -> set[str]:
    """Return how a place may name a key: YAML takes Yes for true and 2026-01-01 for a date, pydantic true for 1."""
    if not isinstance(key, yaml.ScalarNode):
        return set()
    if key.tag == "tag:yaml.org,2002:str":
        return {key.value}
    meant = yaml.safe_load(key.value)
    return {key.value, str(meant), repr(meant), *([str(int(meant))] if isinstance(meant, bool) else [])}


def _repeated_keys(node: yaml.Node, walked: set[int] | None = None) -> list[tuple[str, int]]:
    repeated: list[tuple[str, int]] = []
    walked = set() if walked is None else walked
    if id(node) in walked:  # an anchor used again, perhaps within itself
        return repeated
    walked.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                repeated.append((key.value, key.start_mark.line + 1))
            seen.add(key.value)
            repeated.extend(_repeated_keys(value, walked))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            repeated.extend(_repeated_keys(value, walked))
    return repeated


def _yaml_fault(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark is not None else ""
    return f"{shown(path)}{line}: no YAML: {getattr(error, 'problem', None) or error}"


def _model_fault(fault: Any) -> str:
    where = ".".join(str(step) for step in fault["loc"] if step != "[key]") or "the file"
    value = fault["input"]
    given = "" if isinstance(value, dict | list) else f" (it says {value!r})"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}{given}"
