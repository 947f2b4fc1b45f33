"""Plots as SVG, written by hand: bars and a histogram need no library."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH = 760
_FONT = 'font-family="sans-serif" font-size="13"'
_LABEL = 18
_OURS, _OTHERS = "#1f77b4", "#b0b7bf"


def _svg(height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {_FONT} font-weight="{weight}" text-anchor="{anchor}">{escape(text)}</text>'


def bars(title: str, rows: Sequence[tuple[str, float, bool]]) -> str:
    """Return horizontal bars: label, value, whether it is ours."""
    left, top, step = 220, 44, 30
    most = max(value for _, value, _ in rows)
    parts = [_text(16, 24, title, weight="bold")]
    for number, (label, value, ours) in enumerate(rows):
        y = top + number * step
        length = value / most * (WIDTH - left - 90)
        parts.append(_text(left - 10, y + 15, label, "end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="20" fill="{_OURS if ours else _OTHERS}"/>')
        parts.append(_text(left + length + 6, y + 15, f"{value:,.0f}"))
    return _svg(top + len(rows) * step + 10, parts)


def histogram(title: str, bins: Sequence[tuple[float, int]], marks: Sequence[tuple[str, float]]) -> str:
    """Return a histogram of equal bins (upper bound, count), with vertical marks (label, value)."""
    left, top, height = 20, 50, 220
    most, last = max(count for _, count in bins), bins[-1][0]
    width = WIDTH - 2 * left
    slot = width / len(bins)
    parts = [_text(16, 24, title, weight="bold")]
    for number, (_, count) in enumerate(bins):
        tall = count / most * (height - _LABEL)  # what the marks say stands above the tallest
        x, y = left + number * slot, top + height - tall
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(slot - 1, 1):.1f}" height="{tall:.1f}" fill="{_OURS}"/>'
        )
    for label, value in marks:
        if value <= last:
            x = left + value / last * width
            parts.append(f'<path d="M{x:.1f} {top} V{top + height}" stroke="black" stroke-dasharray="3 3"/>')
            parts.append(_text(x + 4, top + 12, f"{label} {value:g} ms"))
    parts.append(_text(left, top + height + 18, "0 ms"))
    parts.append(_text(left + width, top + height + 18, f"{last:g} ms", "end"))
    return _svg(top + height + 30, parts)
