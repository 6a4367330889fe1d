"""Residuals of a regression by band of its predictions: what is left should lie around nothing, wherever one looks.

Source: Tukey (1977), Exploratory Data Analysis, chapter 2, for the boxes; here the whiskers end at the 5th and 95th percentile.
"""

from __future__ import annotations

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from interfaces.web.charts import WIDTH, Scale, px
from interfaces.web.figures.comparison import Comparison, Drawing, Record, number
from interfaces.web.pages import words

_HEIGHT, _LEFT, _TOP, _FOOT = 224.0, 54.0, 8.0, 40.0
_QUANTILES = ("q05", "q25", "q50", "q75", "q95")
NEEDS = ("lowest_prediction", "highest_prediction", "mean", *_QUANTILES)


def residuals(compared: Comparison) -> Drawing | None:
    """Draw a box for each band of predictions, from low to high, over the line of no error; the champion's means as rings."""
    bands = [row for row in compared.records if all(number(row.get(name)) is not None for name in NEEDS)]
    if not bands:
        return None
    champion = [mean for row in compared.champion if (mean := number(row.get("mean"))) is not None]
    reach = max(abs(float(row[name])) for row in bands for name in ("q05", "q95", "mean"))
    reach = max([reach, *map(abs, champion)]) or 1.0
    y = Scale(-reach, reach, _HEIGHT - _FOOT, _TOP)
    slot = (WIDTH - _LEFT - 8) / max(len(bands), len(champion))
    ring = format_html_join(
        "",
        '<circle class="fc" cx="{}" cy="{}" r="4"/>',
        ((round(_LEFT + slot * (i + 0.5), 1), y(mean)) for i, mean in enumerate(champion)),
    )
    worst = max(bands, key=lambda row: abs(row["mean"]))
    label = (
        f"Residuals of {compared.version} in {words.count_of(len(bands), 'band')} of predictions; the mean is farthest from 0 at "
        f"predictions from {_short(worst['lowest_prediction'])} to {_short(worst['highest_prediction'])}: "
        f"{words.number(float(worst['mean']))}"
    )
    svg = format_html(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}"><path class="limit" d="M{} {}H{}"/>{}{}{}{}</svg>',
        px(WIDTH),
        px(_HEIGHT),
        label,
        px(_LEFT),
        y(0.0),
        px(WIDTH - 8),
        format_html_join("", "{}", ((_box(row, _LEFT + slot * i, slot, y),) for i, row in enumerate(bands))),
        ring,
        format_html_join(
            "",
            '<text class="dim" x="{}" y="{}" text-anchor="end">{}</text>',
            ((px(_LEFT - 5), round(y(value) + 4, 1), _short(value)) for value in (-reach, 0.0, reach)),
        ),
        _foot(bands, slot),
    )
    note = f"Box half of the rows, whisker 90 %, line the median, dot the mean of {compared.version}"
    return Drawing(svg, f"{note}{f', ring that of {compared.other}' if champion else ''}. The level line is no error.")


def _box(row: Record, left: float, slot: float, y: Scale) -> SafeString:
    lowest, low, median, high, highest = (y(float(row[name])) for name in _QUANTILES)
    middle, width = round(left + slot / 2, 1), round(slot * 0.6, 1)
    start = round(middle - width / 2, 1)
    return format_html(
        '<path class="whisker" d="M{0} {1}V{2}M{0} {3}V{4}"/><rect class="cell heat2" x="{5}" y="{3}" width="{6}" height="{7}"/>'
        '<path class="l1" d="M{5} {8}h{6}"/><circle class="f1" cx="{0}" cy="{9}" r="3"/>',
        middle,
        lowest,
        low,
        high,
        highest,
        start,
        width,
        round(low - high, 1),
        median,
        y(float(row["mean"])),
    )


def _foot(bands: list[Record], slot: float) -> SafeString:
    ends = (
        (px(_LEFT), "start", _short(bands[0]["lowest_prediction"])),
        (round(_LEFT + slot * len(bands), 1), "end", _short(bands[-1]["highest_prediction"])),
    )
    return format_html(
        '{}<text class="dim" x="{}" y="{}" text-anchor="middle">Prediction across, residual up</text>',
        format_html_join(
            "",
            '<text class="dim" x="{}" y="{}" text-anchor="{}">{}</text>',
            ((x, px(_HEIGHT - _FOOT + 16), anchor, text) for x, anchor, text in ends),
        ),
        px((_LEFT + WIDTH - 8) / 2),
        px(_HEIGHT - 6),
    )


def _short(value: float) -> str:
    return f"{value:,.4g}".replace("-", words.MINUS)
