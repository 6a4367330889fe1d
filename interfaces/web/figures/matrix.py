"""The confusion matrix as cells: counts with their share of the row, shaded in steps."""

from __future__ import annotations

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from interfaces.web.charts import LEFT, WIDTH, cut, px
from interfaces.web.figures.comparison import Comparison, Drawing, Record, number
from interfaces.web.pages import words

_ROW = 48.0
_HEAD = 22.0
_MOST_CLASSES = 8
_STEPS = 5


def confusion(compared: Comparison) -> Drawing | None:
    """Draw truth down and decision across; a cell's shade and its share are of all rows of that truth."""
    rows = compared.records
    decided = [name for name in (rows[0] if rows else {}) if name != "truth"]
    counts = [[number(row.get(name)) for name in decided] for row in rows]
    if not decided or max(len(rows), len(decided)) > _MOST_CLASSES or any(n is None or n < 0 for line in counts for n in line):
        return None
    before = {str(row.get("truth")): row for row in compared.champion}
    width = (WIDTH - LEFT) / len(decided)
    parts = [
        format_html(
            '<text class="dim" x="{}" y="14" text-anchor="middle">{}</text>',
            px(round(LEFT + width * (i + 0.5), 1)),
            cut(_class(name), int(width / 6.5)),
        )
        for i, name in enumerate(decided)
    ]
    said: list[str] = []
    for i, (row, line) in enumerate(zip(rows, counts, strict=True)):
        y = _HEAD + _ROW * i
        truth = str(row["truth"])
        parts.append(format_html('<text class="strong" x="0" y="{}">{}</text>', px(y + 28), cut(words.sentence(truth), 17)))
        total = sum(n or 0.0 for n in line)
        for j, (name, count) in enumerate(zip(decided, line, strict=True)):
            share = (count or 0.0) / total if total else 0.0
            parts.append(_cell(LEFT + width * j, y, width, count or 0.0, share, _before(before.get(truth), name, compared.other)))
            said.append(f"{truth} decided {_class(name).lower()} {words.number(int(count or 0))} ({share:.0%})")
    svg = format_html(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
        px(WIDTH),
        px(_HEAD + _ROW * len(rows) + 2),
        f"Confusion matrix of {compared.version}: {', '.join(said)}",
        format_html_join("", "{}", ((part,) for part in parts)),
    )
    beside = f" {compared.version} large, {compared.other} below." if compared.twin else f" {compared.version}."
    return Drawing(svg, f"Truth down, decision across; shares are of the row.{beside}")


def _cell(x: float, y: float, width: float, count: float, share: float, champion: str) -> SafeString:
    middle = round(x + width / 2, 1)
    return format_html(
        '<rect class="cell heat{}" x="{}" y="{}" width="{}" height="{}" rx="3"/>'
        '<g class="on"><text class="strong" x="{}" y="{}" text-anchor="middle">{} ({})</text>{}</g>',
        min(_STEPS - 1, int(share * _STEPS)),
        px(round(x + 1, 1)),
        px(y + 1),
        px(round(width - 2, 1)),
        px(_ROW - 2),
        middle,
        px(y + (21 if champion else 28)),
        words.number(int(count)),
        f"{share:.0%}",
        format_html('<text x="{}" y="{}" text-anchor="middle">{}</text>', middle, px(y + 37), champion) if champion else "",
    )


def _class(column: str) -> str:
    return words.sentence(column.removeprefix("decided_"))


def _before(row: Record | None, name: str, other: str) -> str:
    count = number(row.get(name)) if row else None
    if row is None or count is None:
        return ""
    total = sum(number(value) or 0.0 for key, value in row.items() if key != "truth")
    return f"{other} {words.number(int(count))} ({count / total if total else 0:.0%})"
