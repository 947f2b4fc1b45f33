"""The tree keeps the rules of the house, and every rule is shown to fail on a breach."""

import re
from pathlib import PurePosixPath

import pytest

from tests.tidy.house import (
    FUNCTION_LINES_MAX,
    MODULE_LINES_MAX,
    OF_PYTHON,
    OF_TEXT,
    PRESCRIBED,
    PRODUCT,
    Check,
    Source,
    function_lines,
    module_lines,
    modules,
    no_empty_words,
    no_floats,
    no_machine_paths,
    nothing_beside_the_tree,
    nothing_from_outside,
    nothing_left_open,
    texts,
)


@pytest.mark.parametrize("check", OF_PYTHON, ids=lambda check: check.__name__)
def test_modules_keep_the_rule(check: Check) -> None:
    faults = [str(fault) for source in modules() for fault in check(source)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("check", OF_TEXT, ids=lambda check: check.__name__)
def test_texts_keep_the_rule(check: Check) -> None:
    faults = [str(fault) for source in texts() for fault in check(source)]
    assert not faults, "\n".join(faults)


def test_the_checks_see_the_whole_product() -> None:
    seen = {source.path.parts[0] for source in modules()}
    assert seen - {"tests"} <= set(PRODUCT), "a new package: add it to PRODUCT, so that the rules hold for it, too"
    assert {"schemas", "state", "streams", "tests"} <= seen
    assert {"Makefile", ".ci/run", "README.md"} <= {str(source.path) for source in texts()}


def prescribed_in_vain() -> list[str]:
    named = {f"{source.path}:{word}" for source in modules() for word in re.findall(r"\w+", source.text)}
    return sorted(PRESCRIBED.keys() - named)


def test_prescribed_names_are_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prescribed_in_vain() == [], "take what is gone from PRESCRIBED"
    monkeypatch.setitem(PRESCRIBED, "streams/cli.py:handle_nothing", "no library")
    assert prescribed_in_vain() == ["streams/cli.py:handle_nothing"]


def test_a_name_that_a_library_prescribes_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(PurePosixPath("state/store.py"), "def handle(): ...\n")
    assert len([*no_empty_words(source)]) == 1
    monkeypatch.setitem(PRESCRIBED, "state/store.py:handle", "some library, for its callback")
    assert [*no_empty_words(source)] == []


def lines_of(function: str, count: int) -> str:
    return "\n".join([f"def {function}():", *(["    pass"] * (count - 1))]) + "\n"


METHOD = "class A:\n" + "\n".join("    " + line for line in lines_of("total", FUNCTION_LINES_MAX + 1).splitlines())
BREACHES = [
    (function_lines, "streams/cli.py", lines_of("total", FUNCTION_LINES_MAX + 1), 1),
    (function_lines, "tests/unit/test_a.py", METHOD, 2),
    (function_lines, "streams/cli.py", "async " + lines_of("total", FUNCTION_LINES_MAX + 1), 1),
    (module_lines, "state/store.py", "\n" * (MODULE_LINES_MAX + 1), MODULE_LINES_MAX + 1),
    (no_floats, "streams/domain/money.py", "fee = 0.1\n", 1),
    (no_floats, "streams/rules/cap.py", "fee = float(text)\n", 1),
    (no_floats, "streams/sinks/files.py", "def total(fee: float) -> None: ...\n", 1),
    (no_floats, "streams/intake/mapping.py", "def total() -> list[float]: ...\n", 1),
    (no_floats, "streams/rules/cap.py", "\nfees = map(float, texts)\n", 2),
    (no_floats, "streams/rules/cap.py", "fee = 1j\n", 1),
    (nothing_from_outside, "streams/domain/change.py", "import time\n", 1),
    (nothing_from_outside, "streams/rules/drift.py", "import os.path\n", 1),
    (nothing_from_outside, "streams/rules/drift.py", "from random import Random\n", 1),
    (nothing_from_outside, "streams/intake/parking.py", "from pathlib import Path\n", 1),
    (nothing_from_outside, "streams/intake/parking.py", "def read():\n    import asyncio\n", 2),
    (nothing_from_outside, "streams/rules/drift.py", "from sys import stdout\n", 1),
    (nothing_from_outside, "streams/rules/drift.py", "today = datetime.now(UTC)\n", 1),
    (nothing_from_outside, "streams/rules/drift.py", "today = datetime.datetime.utcnow()\n", 1),
    (nothing_from_outside, "streams/rules/drift.py", "today = date.today()\n", 1),
    (nothing_from_outside, "streams/rules/drift.py", "rows = open(path).read()\n", 1),
    (nothing_from_outside, "streams/rules/drift.py", "key = uuid.uuid4()\n", 1),
    (nothing_from_outside, "streams/rules/drift.py", "from uuid import uuid4\n", 1),
    (nothing_from_outside, "streams/rules/drift.py", "async def alert(): ...\n", 1),
    (no_empty_words, "streams/utils.py", "", 1),
    (no_empty_words, "schemas/helpers/avro.py", "", 1),
    (no_empty_words, "state/store.py", "class StoreManager: ...\n", 1),
    (no_empty_words, "state/store.py", "\ndef handle_record(record): ...\n", 2),
    (no_empty_words, "firm/size.py", "def write(row_data): ...\n", 1),
    (no_empty_words, "firm/size.py", "class Row:\n    info: str\n", 2),
    (no_empty_words, "firm/size.py", "self.process = 1\n", 1),
    (no_empty_words, "firm/size.py", "import msgspec as HTTPHelper\n", 1),
    (nothing_left_open, "docs/rules.md", "later\nTO" + "DO: write this\n", 2),
    (nothing_left_open, "streams/cli.py", "# FIX" + "ME\n", 1),
    (no_machine_paths, "docs/rules.md", "see /ho" + "me/ann/notes\n", 1),
    (no_machine_paths, "streams/config.py", 'STATE = "/t' + 'mp/state"\n', 1),
    (nothing_beside_the_tree, "README.md", "see .." + "/shared/notes\n", 1),
]


@pytest.mark.parametrize(("check", "path", "text", "line"), BREACHES)
def test_a_breach_is_found(check: Check, path: str, text: str, line: int) -> None:
    faults = list(check(Source(PurePosixPath(path), text)))
    assert [(str(fault.path), fault.line) for fault in faults] == [(path, line)]


KEPT = [
    (function_lines, "streams/cli.py", lines_of("total", FUNCTION_LINES_MAX)),
    (module_lines, "state/store.py", "\n" * MODULE_LINES_MAX),
    (no_floats, "streams/engine/app.py", "pause_s = 0.1\n"),
    (no_floats, "streams/intake/mapping.py", "if isinstance(value, float):\n    raise ValueError\n"),
    (no_floats, "streams/rules/cap.py", "share = Decimal('0.1')\n"),
    (nothing_from_outside, "streams/engine/app.py", "import time\n"),
    (nothing_from_outside, "streams/rules/drift.py", "from datetime import datetime, time\nfrom sys import intern\n"),
    (nothing_from_outside, "streams/rules/drift.py", "day = date(2026, 1, 1)\nnow = context.now\n"),
    (nothing_from_outside, "streams/rules/drift.py", "key = uuid5(NAMESPACE_URL, text)\n"),
    (no_empty_words, "tests/unit/helpers.py", ""),
    (
        no_empty_words,
        "streams/cli.py",
        "def database_of(processed, informed): ...\nlog.info(record.data)\nrecord.exc_info = None\n",
    ),
    (no_machine_paths, "docs/rules.md", "the route /api/w" + "ork/items and the folder <state>/t" + "mp/x\n"),
    (nothing_beside_the_tree, ".ci/run", "python .." + "/shared/check.py\n"),
]


@pytest.mark.parametrize(("check", "path", "text"), KEPT)
def test_what_is_allowed_is_no_breach(check: Check, path: str, text: str) -> None:
    assert list(check(Source(PurePosixPath(path), text))) == []


def test_every_rule_is_shown_to_fail() -> None:
    assert {check for check, *_ in BREACHES} == {*OF_PYTHON, *OF_TEXT}


def test_a_module_that_is_no_python_is_named() -> None:
    with pytest.raises(SyntaxError) as raised:
        Source(PurePosixPath("streams/cli.py"), "def :").tree()
    assert raised.value.filename == "streams/cli.py"
