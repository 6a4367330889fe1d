"""Calibration of each group in a panel of its own, so that any number of groups can be told apart without colour."""

from __future__ import annotations

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from interfaces.web.charts import WIDTH, Scale, cut, px
from interfaces.web.figures.comparison import Comparison, Drawing, Point, groups, points
from interfaces.web.pages import words

_ACROSS = 3
_SIDE, _GAP, _HEAD, _FOOT = 94.0, 29.0, 18.0, 26.0
_PANEL = _HEAD + _SIDE + _FOOT
_MOST = 12


def group_calibration(compared: Comparison) -> Drawing | None:
    """Draw the share observed over the mean score in a small panel for each group, over the diagonal of perfect calibration."""
    found = [
        (name, dots)
        for name, rows in groups(compared.records, "feature", "group")
        if (dots := points(rows, "mean_score", "share_favourable"))
    ][:_MOST]
    if not found:
        return None
    before = {
        name: points(rows, "mean_score", "share_favourable") for name, rows in groups(compared.champion, "feature", "group")
    }
    parts: list[SafeString] = []
    top, column, feature = 0.0, 0, ""
    for name, dots in found:
        if name[0] != feature:  # each feature begins a line of its own, below its name
            top += _PANEL if column else 0.0
            parts.append(format_html('<text class="strong" x="0" y="{}">{}</text>', px(top + 12), words.sentence(name[0])))
            top, column, feature = top + _HEAD, 0, name[0]
        elif column == _ACROSS:
            top, column = top + _PANEL, 0
        parts.append(_panel(column * (_SIDE + _GAP), top + _HEAD, name[1], dots, before.get(name, [])))
        column += 1
    said = ", ".join(f"{' '.join(name).strip()} {max(abs(x - y) for x, y in dots):.2f}" for name, dots in found)
    svg = format_html(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
        px(WIDTH),
        px(top + _PANEL),
        f"Calibration of {compared.version} by group; farthest from the diagonal: {said}",
        format_html_join("", "{}", ((part,) for part in parts)),
    )
    return Drawing(svg, f"Mean score across, share observed up. {compared.curves} The diagonal is perfect.")


def _panel(left: float, top: float, name: str, dots: list[Point], champion: list[Point]) -> SafeString:
    x, y = Scale(0.0, 1.0, left, left + _SIDE), Scale(0.0, 1.0, top + _SIDE, top)

    def line(css: str, through: list[Point]) -> SafeString:
        if not through:
            return SafeString("")
        return format_html('<polyline class="{}" points="{}"/>', css, " ".join(f"{x(a)},{y(b)}" for a, b in through))

    return format_html(
        '<text x="{0}" y="{1}">{2}</text><path class="gridl" d="M{0} {3}H{4}V{5}H{0}Z"/>'
        '<path class="diagonal" d="M{0} {5}L{4} {3}"/>{6}{7}{8}'
        '<text class="dim" x="{0}" y="{9}">0</text><text class="dim" x="{4}" y="{9}" text-anchor="end">1</text>',
        px(left),
        px(top - 6),
        cut(name, 18),
        px(top),
        px(left + _SIDE),
        px(top + _SIDE),
        line("lc", champion),
        line("l1", dots),
        format_html_join("", '<circle class="f1" cx="{}" cy="{}" r="2.5"/>', ((x(a), y(b)) for a, b in dots)),
        px(top + _SIDE + 14),
    )
