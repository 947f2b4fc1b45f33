"""What the documents quote of a bench is what the last bench measured."""

import json
from pathlib import Path

import pytest

from bench.figures import BEGIN, END, LATEST, TARGETS, put_into_document, quoted, ratios, table

FIGURES = {
    "broker": "Kafka 1",
    "machine": "2 cores",
    "steps": "compiled",
    "rounds": 1,
    "variants": {
        "throughline": {"events_per_s": 900, "cpu_us_per_event": 9.0, "rss_mb": 90, "runs": [900]},
        "loop": {"events_per_s": 1_000, "cpu_us_per_event": 8.0, "rss_mb": 50, "runs": [1_000]},
    },
    "ratios": {"throughline / loop": 0.9},
}


def test_the_document_quotes_the_last_bench() -> None:
    assert quoted() == table(json.loads(LATEST.read_text(encoding="utf-8"))), (
        "run `make bench`, or put its figures back"
    )


def test_figures_that_differ_are_found(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"# A\n{BEGIN}\nold\n{END}\nrest\n", encoding="utf-8")
    assert quoted(document) != table(FIGURES)
    put_into_document(FIGURES, document)
    assert quoted(document) == table(FIGURES)
    assert document.read_text(encoding="utf-8").endswith(f"{END}\nrest\n")


def test_a_document_without_a_place_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("# A\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no place for the figures"):
        put_into_document(FIGURES, document)


def test_ratios_are_of_variants_that_ran() -> None:
    assert ratios(FIGURES["variants"]) == {"throughline / loop": 0.9}  # type: ignore[arg-type]
    assert set(ratios({})) <= set(TARGETS)
