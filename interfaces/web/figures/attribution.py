"""Shapley values of single rows, feature by feature: a bee swarm.

Source: Lundberg et al. (2020), From local explanations to global understanding with explainable AI for trees, Nature Machine
Intelligence 2, fig. 4: the summary plot. Theirs tells a feature's value by colour alone; here high values also lie above the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from interfaces.web.charts import LEFT, WIDTH, Scale, cut, px
from interfaces.web.figures.comparison import Comparison, Drawing, Record, groups, number
from interfaces.web.pages import words

_MOST_FEATURES = 12
_MOST_ROWS = 150
_ROW, _FOOT, _RIGHT = 26.0, 34.0, 44.0
_REACH = 8.0  # pixels above and below the line of a feature
_COLOURS = 5


def swarm(compared: Comparison) -> Drawing | None:
    """Draw a dot for each row and feature: across its Shapley value, up and by colour the feature's own value in [0, 1]."""
    found = [
        (feature, known)
        for (feature,), rows in groups(compared.records, "feature")
        if (known := [row for row in rows if number(row["shapley"]) is not None])
    ]
    if not found:
        return None
    ranked = sorted(found, key=lambda each: -_mean(each[1]))[:_MOST_FEATURES]
    before = {feature: _mean(rows) for (feature,), rows in groups(compared.champion, "feature")}
    end = max(abs(float(row["shapley"])) for _, rows in ranked for row in rows) or 1.0
    x = Scale(-end, end, LEFT + 4, WIDTH - _RIGHT - 4)
    bottom = _ROW * len(ranked)
    middle = x(0.0)
    lines = [_feature(name, rows, x, _ROW * i + _ROW / 2) for i, (name, rows) in enumerate(ranked)]
    said = ", ".join(
        f"{name} {words.number(_mean(rows))}" + (f" ({compared.other} {words.number(before[name])})" if name in before else "")
        for name, rows in ranked
    )
    svg = format_html(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}"><path class="axis" d="M{} 0V{}"/>{}'
        '<text class="dim" x="{}" y="{}">{}</text><text class="dim" x="{}" y="{}" text-anchor="middle">0</text>'
        '<text class="dim" x="{}" y="{}" text-anchor="end">{}</text>'
        '<text class="dim" x="{}" y="{}" text-anchor="middle">lowers the answer, raises it</text></svg>',
        px(WIDTH),
        px(bottom + _FOOT),
        f"Shapley values of {compared.version} by feature, mean absolute: {said}",
        middle,
        px(bottom),
        format_html_join("", "{}", ((line,) for line in lines)),
        x.start,
        px(bottom + 14),
        words.signed(-end, 2),
        middle,
        px(bottom + 14),
        x.end,
        px(bottom + 14),
        words.signed(end, 2),
        middle,
        px(bottom + 29),
    )
    note = "A dot is a row: high values of the feature blue and above the line, low ones orange and below. The number is the mean size."
    return Drawing(svg, f"{compared.version}. {note}")


def _feature(name: str, rows: Sequence[Record], x: Scale, y: float) -> SafeString:
    step = max(1, -(-len(rows) // _MOST_ROWS))
    dots: dict[str, list[str]] = {}
    for row in rows[::step]:
        value = number(row["value"])
        spread = crc32(f"{name}/{row.get('row')}".encode()) / 2**32 - 0.5  # the same at each drawing
        up = spread * 3 if value is None else (min(max(value, 0.0), 1.0) - 0.5) * 2 * _REACH + spread * 5
        css = "none" if value is None else str(min(_COLOURS - 1, int(max(value, 0.0) * _COLOURS)))
        dots.setdefault(css, []).append(f"M{x(float(row['shapley']))} {y - up:.1f}h.01")
    return format_html(
        '<path class="gridl" d="M{} {}H{}"/><text x="0" y="{}">{}</text>{}'
        '<text class="strong" x="{}" y="{}" text-anchor="end">{}</text>',
        x.start,
        px(y),
        x.end,
        px(y + 4),
        cut(name, 18),
        format_html_join("", '<path class="dot dot-{}" d="{}"/>', ((css, "".join(drawn)) for css, drawn in sorted(dots.items()))),
        px(WIDTH),
        px(y + 4),
        words.number(_mean(rows)),
    )


def _mean(rows: Sequence[Record]) -> float:
    sizes = [abs(value) for row in rows if (value := number(row["shapley"])) is not None]
    return sum(sizes) / len(sizes) if sizes else 0.0
