"""Plots as inline SVG: bars across, bars upright and dots, drawn from labels and decimals.

Owns scales, ticks and marks. Colours are classes that the page's style sheet sets, for light and dark. Every plot names
itself and says its figures in words, for those who hear it.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from markupsafe import Markup

WIDTH = 560
LABEL_SIGNS_MAX = 32
Place = Decimal | int
_ZERO = Decimal(0)
_TENTH = Decimal("0.1")


class Mark(NamedTuple):
    """One value of a plot: its size, what is written beside it, and what it says when pointed at."""

    size: Decimal
    words: str
    tip: str
    series: int = 1


class Group(NamedTuple):
    """What stands at one place of the axis: a label and its marks."""

    label: str
    marks: tuple[Mark, ...]


class Span(NamedTuple):
    """The part of the numbers that an axis shows, with its ticks."""

    low: Decimal
    high: Decimal
    ticks: tuple[Decimal, ...]


class Spread(NamedTuple):
    """One line of a dot plot, in fractions of one; None is not drawn."""

    label: str
    now: Decimal | None
    forecast: Decimal | None
    baseline: Decimal | None
    tip: str


def bars_across(name: str, title: str, groups: Sequence[Group]) -> Markup:
    """Return one bar a group, from left to right, with its words at the end."""
    left, right, step = 232, 84, 28
    svg = _begin(name, title, groups, step * len(groups) + 8)
    span = _span([mark.size for group in groups for mark in group.marks])
    room = WIDTH - left - right
    base = left + _along(_ZERO, span, room)
    for line, group in enumerate(groups):
        top = line * step + 4
        _write(svg, left - 10, top + 15, group.label, "label end")
        for mark in group.marks:
            tip = left + _along(mark.size, span, room)
            start, end = min(base, tip), max(base, tip)
            bar = _add(svg, "rect", x=start, y=top + 2, width=max(end - start, Decimal(1)), height=18, rx=2)
            _finish(bar, mark)
            _write(svg, end + 6, top + 15, mark.words, "value")
    _line(svg, base, 0, base, step * len(groups) + 8, "axis")
    return _text_of(svg)


def bars_upright(name: str, title: str, groups: Sequence[Group], legend: Sequence[str] = ()) -> Markup:
    """Return groups of bars from the bottom up, side by side within a group, over a grid with its numbers."""
    left, top, height = 56, 30 if legend else 16, 180
    svg = _begin(name, title, groups, top + height + 30)
    span = _span([mark.size for group in groups for mark in group.marks])
    _legend(svg, legend, left)
    for tick in span.ticks:
        level = top + height - _along(tick, span, height)
        _line(svg, left, level, WIDTH, level, "grid" if tick else "axis")
        _write(svg, left - 8, level + 4, compact(tick), "label end")
    wide = Decimal(WIDTH - left) / len(groups)
    base = top + height - _along(_ZERO, span, height)
    crowded = len(groups) > 9
    for place, group in enumerate(groups):
        middle = left + wide * place + wide / 2
        if not crowded or place % (len(groups) // 8 + 1) == 0:
            _write(svg, middle, top + height + 20, group.label, "label middle")
        bar_wide = min(wide * Decimal("0.7") / len(group.marks), Decimal(44))
        start = middle - bar_wide * len(group.marks) / 2
        for number, mark in enumerate(group.marks):
            if not mark.size:
                continue
            level = top + height - _along(mark.size, span, height)
            x, y = start + bar_wide * number, min(level, base)
            bar = _add(svg, "rect", x=x + 1, y=y, width=bar_wide - 2, height=max(abs(base - level), Decimal(1)), rx=2)
            _finish(bar, mark)
            if not crowded:
                _write(svg, x + bar_wide / 2, y - 4, mark.words, "value middle")
    return _text_of(svg)


def dots(name: str, title: str, spreads: Sequence[Spread], legend: Sequence[str]) -> Markup:
    """Return one line a spread with a dot (forecast), a ring (now) and a stroke (baseline), within 100 % of zero.

    `legend` has the words for the three, in this order.
    """
    left, right, top, step = 132, 20, 34, 24
    groups = [Group(spread.label, (Mark(_ZERO, "", spread.tip),)) for spread in spreads]
    bottom = top + step * len(spreads)
    svg = _begin(name, title, groups, bottom + 26)
    known = [part for spread in spreads for part in spread[1:4] if isinstance(part, Decimal)]
    span = _span([_clamped(part) for part in known])
    room = WIDTH - left - right
    _legend_of_dots(svg, legend, left)
    for tick in span.ticks:
        x = left + _along(tick, span, room)
        _line(svg, x, top, x, bottom, "grid" if tick else "axis")
        _write(svg, x, bottom + 18, f"{(tick * 100).normalize():f} %", "label middle")
    for line, spread in enumerate(spreads):
        y = top + step * line + step // 2
        row = _add(svg, "g")
        SubElement(row, "title").text = spread.tip
        _write(row, left - 10, y + 4, spread.label, "label end")
        now, forecast, baseline = (
            None if part is None else left + _along(_clamped(part), span, room) for part in spread[1:4]
        )
        if now is not None and forecast is not None:
            _line(row, now, y, forecast, y, "link")
        if baseline is not None:
            _line(row, baseline, y - 8, baseline, y + 8, "stroke")
        if now is not None:
            _add(row, "circle", cx=now, cy=y, r=5).set("class", "ring")
        if forecast is not None:
            _add(row, "circle", cx=forecast, cy=y, r=5).set("class", "series-1")
    return _text_of(svg)


def compact(number: Decimal) -> str:
    """Return a number in few signs: `950`, `45.3k`, `1.2M`."""
    for unit, sign in ((Decimal(10**9), "G"), (Decimal(10**6), "M"), (Decimal(10**3), "k")):
        if abs(number) >= unit:
            return f"{(number / unit).quantize(_TENTH, ROUND_HALF_UP).normalize():f}{sign}"
    return f"{number.quantize(_TENTH, ROUND_HALF_UP).normalize():f}"


def _begin(name: str, title: str, groups: Sequence[Group], height: int) -> Element:
    svg = Element("svg", viewBox=f"0 0 {WIDTH} {height}", role="img")
    svg.set("aria-labelledby", f"{name}-title {name}-words")
    SubElement(svg, "title", id=f"{name}-title").text = title
    words = "; ".join(mark.tip for group in groups for mark in group.marks if mark.tip)
    SubElement(svg, "desc", id=f"{name}-words").text = words
    return svg


def _legend(svg: Element, legend: Sequence[str], left: int) -> None:
    x = Decimal(left)
    for number, words in enumerate(legend, 1):
        _add(svg, "rect", x=x, y=4, width=11, height=11, rx=2).set("class", f"series-{number}")
        x = _key_words(svg, x, words)


def _legend_of_dots(svg: Element, legend: Sequence[str], left: int) -> None:
    forecast, now, baseline = legend
    x = Decimal(left)
    _add(svg, "circle", cx=x + 5, cy=10, r=5).set("class", "series-1")
    x = _key_words(svg, x, forecast)
    _add(svg, "circle", cx=x + 5, cy=10, r=5).set("class", "ring")
    x = _key_words(svg, x, now)
    _line(svg, x + 5, 2, x + 5, 18, "stroke")
    _key_words(svg, x, baseline)


def _key_words(svg: Element, x: Decimal, words: str) -> Decimal:
    _write(svg, x + 17, 14, words, "label")
    return x + 17 + 7 * len(words) + 18


def _finish(bar: Element, mark: Mark) -> None:
    bar.set("class", f"series-{mark.series}")
    SubElement(bar, "title").text = mark.tip


def _add(parent: Element, tag: str, **places: Place) -> Element:
    return SubElement(parent, tag, {name: _place(place) for name, place in places.items()})


def _line(parent: Element, x1: Place, y1: Place, x2: Place, y2: Place, style: str) -> None:
    _add(parent, "line", x1=x1, y1=y1, x2=x2, y2=y2).set("class", style)


def _write(parent: Element, x: Place, y: Place, words: str, style: str) -> None:
    text = _add(parent, "text", x=x, y=y)
    text.set("class", style)
    text.text = words if len(words) <= LABEL_SIGNS_MAX else words[: LABEL_SIGNS_MAX - 1] + "…"


def _place(place: Place) -> str:
    return f"{Decimal(place).quantize(_TENTH, ROUND_HALF_UP):f}"


def _text_of(svg: Element) -> Markup:
    # ElementTree has escaped every text and attribute.
    return Markup(ElementTree.tostring(svg, encoding="unicode"))


def _clamped(fraction: Decimal) -> Decimal:
    return max(min(fraction, Decimal(1)), Decimal(-1))


def _along(number: Decimal, span: Span, length: int) -> Decimal:
    return (number - span.low) / (span.high - span.low) * length


def _span(numbers: Sequence[Decimal]) -> Span:
    """Return a span that begins or ends at round numbers and holds all numbers and zero."""
    low, high = min(numbers, default=_ZERO), max(numbers, default=_ZERO)
    low, high = min(low, _ZERO), max(high, _ZERO)
    if low == high:
        high = Decimal(1)
    rough = (high - low) / 4
    size = Decimal(1).scaleb(rough.adjusted())
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first = (low / step).to_integral_value(ROUND_FLOOR)
    last = (high / step).to_integral_value(ROUND_CEILING)
    ticks = tuple(step * number for number in range(int(first), int(last) + 1))
    return Span(ticks[0], ticks[-1], ticks)
