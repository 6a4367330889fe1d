"""Differences with their intervals on one line of no difference: a forest plot.

Source: Lewis and Clarke (2001), Forest plots: trying to see the wood and the trees, BMJ 322, 1479.
"""

from __future__ import annotations

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from interfaces.web.charts import LEFT, WIDTH, Scale, cut, px, round_up
from interfaces.web.figures.comparison import Comparison, Drawing, Record, number
from interfaces.web.pages import words

_ROW, _TOP, _RIGHT = 22.0, 4.0, 104.0
_MOST = 24


def differences(compared: Comparison) -> Drawing | None:
    """Draw this version less the champion, metric by metric. A dot is full where the interval leaves out no difference."""
    rows = [row for row in compared.records if number(row["difference"]) is not None][:_MOST]
    if not rows:
        return None
    values = [abs(value) for row in rows for name in ("difference", "ci_low", "ci_high") if (value := number(row.get(name)))]
    end = round_up(max(values, default=1.0))
    x = Scale(-end, end, LEFT, WIDTH - _RIGHT)
    bottom = _TOP + _ROW * len(rows)
    middle = x(0.0)
    svg = format_html(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}<path class="limit" d="M{} {}V{}"/>{}{}</svg>',
        px(WIDTH),
        px(bottom + 20),
        f"Differences from the champion, {compared.version}: {'; '.join(_said(row) for row in rows)}",
        format_html_join("", '<path class="gridl" d="M{} {}V{}"/>', ((at, _TOP, bottom) for at in (x.start, x.end))),
        middle,
        _TOP,
        px(bottom + 2),
        format_html_join("", "{}", ((_line(row, x, _TOP + _ROW * i),) for i, row in enumerate(rows))),
        format_html_join(
            "",
            '<text class="dim" x="{}" y="{}" text-anchor="middle">{}</text>',
            ((at, px(bottom + 14), f"{value:.2g}".replace("-", words.MINUS)) for value, at in _ticks(end, x)),
        ),
    )
    note = f"{compared.version} less the champion, with 95 % intervals. A full dot: the interval leaves out 0."
    return Drawing(svg, note)


def _ticks(end: float, x: Scale) -> list[tuple[float, float]]:
    return [(value, x(value)) for value in (-end, 0.0, end)]


def _line(row: Record, x: Scale, y: float) -> SafeString:
    difference, low, high = _numbers(row)
    whisker = (
        format_html('<path class="whisker" d="M{0} {2}H{1}M{0} {3}v6M{1} {3}v6"/>', x(low), x(high), px(y + 11), px(y + 8))
        if low is not None and high is not None
        else ""
    )
    return format_html(
        '<text x="0" y="{}">{}</text>{}<circle class="{}" cx="{}" cy="{}" r="4"/>'
        '<text class="strong" x="{}" y="{}" text-anchor="end">{}</text>',
        px(y + 15),
        cut(_named(row), 18),
        whisker,
        "f1" if _is_clear(row) else "f1 hollow",
        x(difference),
        px(y + 11),
        px(WIDTH),
        px(y + 15),
        _judged(row),
    )


def _named(row: Record) -> str:
    part = row.get("slice") or row.get("group") or ""
    return f"{words.metric(str(row['metric']))}{f' {part}' if part else ''}"


def _numbers(row: Record) -> tuple[float, float | None, float | None]:
    return number(row["difference"]) or 0.0, number(row.get("ci_low")), number(row.get("ci_high"))


def _is_clear(row: Record) -> bool:
    _, low, high = _numbers(row)
    return low is not None and high is not None and (low > 0 or high < 0)


def _judged(row: Record) -> str:
    return words.judged_change(str(row["metric"]), 0.0, _numbers(row)[0])[0]


def _said(row: Record) -> str:
    _, low, high = _numbers(row)
    within = "" if low is None or high is None else f", {words.signed(low)} to {words.signed(high)}"
    return f"{_named(row)} {_judged(row)}{within}"
