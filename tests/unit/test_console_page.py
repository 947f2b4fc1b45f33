"""The page: whole, alone, readable in every way, and safe from what its records say."""

import random
import re
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from console.page import render
from console.questions import answer_all
from console.readmodel import fold
from tests.unit.console_firm import NOW_MS, alert, firm, margins, triggers


class Outline(HTMLParser):
    """What a page is made of: tags that are balanced, headers, links, and what would be fetched."""

    EMPTY = ("meta", "br", "link", "img", "hr", "input")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> str:
    return render(fold(firm()), NOW_MS)


def test_the_page_is_whole_and_every_link_leads_somewhere(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    inside = [str(link["href"])[1:] for link in outline.all("a") if str(link["href"]).startswith("#")]
    assert set(inside) <= set(outline.ids)
    names = {table.name for _, tables in answer_all(fold(firm()), NOW_MS) for table in tables}
    assert names <= set(inside)


def test_the_page_fetches_nothing_and_runs_nothing(page: str) -> None:
    outline = Outline(page)
    assert [outline.all(tag) for tag in ("script", "link", "img", "iframe", "object")] == [[]] * 5
    assert "http" not in page
    assert "url(" not in page
    assert "@import" not in page
    outside = {str(link["href"]) for link in outline.all("a") if not str(link["href"]).startswith("#")}
    assert all(re.fullmatch(r"[a-z-]+\.csv", target) for target in outside)


def test_headers_and_drawings_are_readable_without_eyes(page: str) -> None:
    outline = Outline(page)
    assert {header.get("scope") for header in outline.all("th")} == {"row", "col"}
    labelled = [*outline.all("svg"), *outline.all("table")]
    assert len(outline.all("svg")) == 11  # months and reasons in four currencies, margins, alerts, ages
    for element in labelled:
        assert set(str(element["aria-labelledby"]).split()) <= set(outline.ids)
    assert all(drawing["role"] == "img" for drawing in outline.all("svg"))
    assert [attributes["lang"] for attributes in outline.all("html")] == ["en"]


def test_the_page_follows_the_light_of_the_reader_and_prints(page: str) -> None:
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media print" in page


def test_the_page_says_when_and_how_much() -> None:
    page = render(fold(triggers(random.Random(1), 30)), NOW_MS)
    assert "As of 2026-04-15 09:30 UTC." in page
    net: dict[str, Decimal] = {}
    for each in triggers(random.Random(1), 30):
        if each["topic"] == "billing.triggers":
            net[each["value"]["currency"]] = net.get(each["value"]["currency"], Decimal(0)) + Decimal(
                each["value"]["amount"]
            )
    assert len(net) == 4
    for currency, amount in net.items():
        digits = 0 if currency == "JPY" else 2
        assert f'several">{amount:,.{digits}f} {currency}</span>' in page


def test_what_comes_from_outside_stays_text() -> None:
    chance = random.Random(0)
    hostile = "<script>alert(1)</script>&\"'"
    records = [
        alert(chance, "status_mismatch", hostile, evidence={"crm": hostile}),
        alert(chance, hostile, "E1", owner=hostile),
        *(
            {**each, "value": {**each["value"], "project_id": hostile}}
            for each in margins(chance)
            if "revenue" in each["value"]
        ),
    ]
    page = render(fold(records), NOW_MS)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
    assert Outline(page).open == []


def test_a_firm_without_records_gets_a_page_without_drawings() -> None:
    page = render(fold([]), NOW_MS)
    outline = Outline(page)
    assert (outline.open, outline.all("svg"), outline.all("table")) == ([], [], [])
    assert page.count('class="nothing"') == 21
