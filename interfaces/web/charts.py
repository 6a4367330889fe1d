"""Charts as SVG, drawn on the server from numbers. Pure functions: coordinates in, markup out.

Colours come from the stylesheet's classes, so that one drawing serves both themes and the content policy needs no exception.
Each drawing is an image with a label that states the values; the numbers are also on the page as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from interfaces.web.pages.words import number

Point = tuple[float, float]

_GAUGE_WIDTH, _GAUGE_HEIGHT, _GAUGE_PAD = 140.0, 20.0, 4.0
_BAR_ROW = 20.0
WIDTH, LEFT = 340.0, 118.0  # of drawings in rows, and of the place for their labels
_SQUARE_WIDTH, _SQUARE_HEIGHT, _SQUARE_LEFT, _SQUARE_FOOT = WIDTH, 224.0, 32.0, 36.0


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart. ``heading`` rows carry no value and name the rows below them."""

    label: str
    value: float | None = None
    champion: float | None = None
    low: float | None = None
    high: float | None = None
    heading: bool = False


@dataclass(frozen=True)
class Scale:
    """A straight map from values to pixels, holding them inside."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return round(self.start + (inside - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start), 1)


def gauge(value: float, limit: float, *, sign: str, champion: float | None = None, label: str) -> SafeString:
    """Return a short scale: a dot for the value, a bar for the limit, a ring for the champion, the allowed side shaded.

    A share runs from 0 to 1; other values run around what is shown.
    """
    known = [v for v in (value, limit, champion) if v is not None]
    if 0 < limit < 0.2 and all(-1 <= v <= 1 for v in known):
        low, high = -2 * limit, 2 * limit  # a margin: what matters is on which side of it, and of nothing, the value lies
    elif all(0 <= v <= 1 for v in known):
        low, high = 0.0, 1.0
    else:
        spread = (max(known) - min(known)) or abs(limit) or 1.0
        low, high = min(known) - 0.25 * spread, max(known) + 0.25 * spread
    x = Scale(low, high, _GAUGE_PAD, _GAUGE_WIDTH - _GAUGE_PAD)
    at = x(limit)
    start, width = (_GAUGE_PAD, at - _GAUGE_PAD) if sign == "≤" else (at, _GAUGE_WIDTH - _GAUGE_PAD - at)
    zone = format_html('<rect class="okzone" x="{}" y="4" width="{}" height="12" rx="2"/>', start, round(width, 1))
    ring = "" if champion is None else format_html('<circle class="fc" cx="{}" cy="10" r="4"/>', x(champion))
    return format_html(
        '<svg class="gauge" viewBox="0 0 {} {}" role="img" aria-label="{}">{}<path class="axis" d="M4 10H136"/>'
        '<path class="limit-mark" d="M{} 2V18"/>{}<circle class="f1" cx="{}" cy="10" r="4.5"/></svg>',
        px(_GAUGE_WIDTH),
        px(_GAUGE_HEIGHT),
        label,
        zone if sign in ("≤", "≥") else "",
        at,
        ring,
        x(value),
    )


def pips(done: int, total: int, *, tone: str, label: str) -> SafeString:
    """Return one box for each that is needed, filled for each that is there. Beyond eight the boxes become one bar."""
    if total > 8:
        return progress(done / total, tone=tone, label=label)
    boxes = format_html_join(
        "",
        '<rect x="{}" y="5.5" width="12" height="9" rx="2"{}/>',
        ((4.5 + 16 * i, SafeString(' class="full"') if i < done else "") for i in range(total)),
    )
    return format_html(
        '<svg class="gauge pips" data-s="{}" viewBox="0 0 140 20" role="img" aria-label="{}">{}</svg>', tone, label, boxes
    )


def progress(share: float, *, tone: str = "run", label: str) -> SafeString:
    """Return a bar that is filled to a share in [0, 1]."""
    filled = round(124 * min(max(share, 0.0), 1.0), 1)
    return format_html(
        '<svg class="gauge pips" data-s="{}" viewBox="0 0 140 20" role="img" aria-label="{}">'
        '<rect x="4.5" y="7.5" width="124" height="5" rx="2.5"/>'
        '<rect class="full" x="4.5" y="7.5" width="{}" height="5" rx="2.5"/></svg>',
        tone,
        label,
        filled,
    )


def bars(
    rows: Sequence[Bar],
    *,
    label: str,
    limit: float | None = None,
    lines: Sequence[tuple[float, str]] = (),
    axis: str = "",
    places: int = 2,
    full: float | None = None,
) -> SafeString:
    """Return horizontal bars from 0, the champion as a ring on each, the limit as a dashed line with its value.

    lines: further dashed lines, at most two, in ascending order, each with its words.
    full: the value at the right end; without it, the largest value shown. Values below 0 are drawn as 0 and written as they are.
    """
    left, width, right = LEFT, WIDTH, 46.0
    marks = [*lines] if limit is None else [(limit, f"limit {number(float(limit), places)}"), *lines]
    top = 18.0 if marks else 4.0
    bottom = top + _BAR_ROW * len(rows)
    values = [v for row in rows for v in (row.value, row.champion, row.high) if v is not None]
    end = full if full is not None else round_up(max([*values, *(at for at, _ in marks)], default=1.0))
    x = Scale(0.0, end, left, width - right)
    drawn = [SafeString(_bar(row, x, top + _BAR_ROW * i, width, places)) for i, row in enumerate(rows)]
    ticks = [(end * step / 4, x(end * step / 4)) for step in range(5)]
    grid = format_html_join("", '<path class="gridl" d="M{} {}V{}"/>', ((at, top, bottom) for _, at in ticks))
    numbers = format_html_join(
        "",
        '<text class="dim" x="{}" y="{}" text-anchor="middle">{}</text>',
        ((at, px(bottom + 14), f"{value:.2g}") for value, at in ticks if not axis or value in (0.0, end)),
    )
    # The words of two lines that stand close to one another part to either side.
    anchors = ("middle",) if len(marks) == 1 else ("end", "start")
    line = format_html_join(
        "",
        '<path class="limit" d="M{0} {1}V{2}"/><text class="strong" x="{0}" y="10" text-anchor="{3}">{4}</text>',
        ((x(at), top - 3, bottom + 2, anchor, words) for (at, words), anchor in zip(marks, anchors, strict=False)),
    )
    caption = (
        format_html('<text class="dim" x="{}" y="{}" text-anchor="middle">{}</text>', x(end / 2), px(bottom + 14), axis)
        if axis
        else ""
    )
    return format_html(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}{}{}</svg>',
        px(width),
        px(bottom + 20),
        label,
        grid,
        SafeString("".join(drawn)),
        line,
        numbers,
        caption,
    )


def _bar(row: Bar, x: Scale, y: float, width: float, places: int) -> SafeString:
    if row.heading:
        return format_html('<text class="strong" x="0" y="{}">{}</text>', px(y + 14), cut(row.label, 40))
    parts = [format_html('<text x="8" y="{}">{}</text>', px(y + 14), cut(row.label, 17))]
    if row.value is None:
        parts.append(format_html('<text class="dim" x="{}" y="{}">not measured</text>', x.start + 4, px(y + 14)))
        return SafeString("".join(parts))
    parts.append(
        format_html(
            '<rect class="f1" x="{}" y="{}" width="{}" height="8" rx="1"/>',
            x.start,
            px(y + 6),
            round(max(0.0, x(row.value) - x.start), 1),
        )
    )
    if row.low is not None and row.high is not None:
        parts.append(
            format_html('<path class="whisker" d="M{0} {2}H{1}M{0} {3}v4M{1} {3}v4"/>', x(row.low), x(row.high), y + 10, y + 8)
        )
    if row.champion is not None:
        parts.append(format_html('<circle class="fc" cx="{}" cy="{}" r="4"/>', x(row.champion), y + 10))
    parts.append(
        format_html(
            '<text class="strong" x="{}" y="{}" text-anchor="end">{}</text>', width, px(y + 14), number(float(row.value), places)
        )
    )
    return SafeString("".join(parts))


def roc(candidate: Sequence[Point], champion: Sequence[Point], *, label: str, names: tuple[str, str]) -> SafeString:
    """Return the ROC curve of the candidate, and of the champion if there is one. Points are (false, true positive rate)."""
    key_y = 128.0
    keys = [format_html('<text class="t1" x="190" y="{}">{}</text>', key_y, names[0])]
    if champion:
        keys.append(format_html('<text x="190" y="{}">{}, dashed</text>', key_y + 18, names[1]))
    return square(
        label,
        across="False positive rate",
        up="True positive rate",
        inside=SafeString(curve("lc", champion) + curve("l1", candidate) + "".join(keys)),
    )


def calibration(candidate: Sequence[Point], champion: Sequence[Point], *, label: str, names: tuple[str, str]) -> SafeString:
    """Return the calibration of the candidate, and of the champion if there is one. Points are (mean score, observed share)."""
    dots = format_html_join("", '<circle class="f1" cx="{}" cy="{}" r="3"/>', (placed(point) for point in candidate))
    keys = [format_html('<text class="t1" x="44" y="18">{}</text>', names[0])]
    if champion:
        keys.append(format_html('<text x="44" y="36">{}, dashed</text>', names[1]))
    return square(
        label,
        across="Mean score",
        up="Share observed",
        inside=SafeString(curve("lc", champion) + curve("l1", candidate) + dots + "".join(keys)),
    )


def precision_recall(
    candidate: Sequence[Point], champion: Sequence[Point], *, prevalence: float | None, label: str, names: tuple[str, str]
) -> SafeString:
    """Return the curve of (recall, precision), and the champion's if there is one. Chance is level with the prevalence."""
    chance = SafeString("")
    if prevalence is not None:
        (left, at), (right, _) = placed((0, prevalence)), placed((1, prevalence))
        words = f"chance {number(float(prevalence), 2)}"
        chance = format_html(
            '<path class="diagonal" d="M{} {}H{}"/><text class="dim" x="{}" y="{}" text-anchor="end">{}</text>',
            left,
            at,
            right,
            right,
            round(at - 4, 1),
            words,
        )
    keys = [format_html('<text class="t1" x="44" y="{}">{}</text>', 128, names[0])]
    if champion:
        keys.append(format_html('<text x="44" y="{}">{}, dashed</text>', 146, names[1]))
    return square(
        label,
        across="Recall",
        up="Precision",
        inside=SafeString(chance + curve("lc", champion) + curve("l1", candidate) + "".join(keys)),
        diagonal=False,
    )


def square(label: str, *, across: str, up: str, inside: SafeString, diagonal: bool = True) -> SafeString:
    """Return a frame from 0 to 1 both ways with what is drawn in it, over the diagonal unless it means nothing here."""
    steps = [0.0, 0.25, 0.5, 0.75, 1.0]
    left, right = placed((0, 0))[0], placed((1, 0))[0]
    foot, head = placed((0, 0))[1], placed((0, 1))[1]
    grid = format_html_join(
        "",
        '<path class="gridl" d="M{} {}H{}M{} {}V{}"/>',
        ((left, placed((0, v))[1], right, placed((v, 0))[0], head, foot) for v in steps),
    )
    numbers = format_html_join(
        "",
        '<text class="dim" x="{}" y="{}" text-anchor="end">{}</text><text class="dim" x="{}" y="{}" text-anchor="middle">{}</text>',
        ((left - 5, round(placed((0, v))[1] + 4, 1), f"{v:g}", placed((v, 0))[0], foot + 14, f"{v:g}") for v in (0.0, 0.5, 1.0)),
    )
    return format_html(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}{}'
        '<text class="dim" x="{}" y="{}" text-anchor="middle">{} across, {} up</text></svg>',
        px(_SQUARE_WIDTH),
        px(_SQUARE_HEIGHT),
        label,
        grid,
        numbers,
        format_html('<path class="diagonal" d="M{} {}L{} {}"/>', left, foot, right, head) if diagonal else "",
        inside,
        round((left + right) / 2, 1),
        px(_SQUARE_HEIGHT - 4),
        across,
        up.lower(),
    )


def placed(point: Point) -> Point:
    """Return where a point of the unit square lies in `square`, in pixels."""
    across = Scale(0.0, 1.0, _SQUARE_LEFT, _SQUARE_WIDTH - 8)
    up = Scale(0.0, 1.0, _SQUARE_HEIGHT - _SQUARE_FOOT, 6.0)
    return across(point[0]), up(point[1])


def curve(css: str, points: Sequence[Point]) -> SafeString:
    """Return points of the unit square joined by a line of a class, or nothing if there are none."""
    if not points:
        return SafeString("")
    return format_html('<polyline class="{}" points="{}"/>', css, " ".join(f"{x},{y}" for x, y in map(placed, points)))


@dataclass(frozen=True)
class GraphNode:
    """One box of a lineage drawing. ``look`` is a class: root, prod, gone or nothing."""

    key: str
    lane: int
    icon: str
    title: str
    subtitle: str
    href: str
    look: str = ""


@dataclass(frozen=True)
class GraphEdge:
    source: str
    target: str


def layered(
    nodes: Sequence[GraphNode], edges: Iterable[GraphEdge], lanes: Sequence[str], *, icons: str, label: str
) -> SafeString:
    """Return a graph in lanes from cause to effect, its boxes links in lane order. Empty lanes are left out.

    icons: the address of the sprite. Edges within a lane are drawn around the boxes' right side.
    """
    used = sorted({node.lane for node in nodes})
    width, height, row, gap, top = 212.0, 44.0, 62.0, 72.0, 38.0
    column = {lane: i * (width + gap) for i, lane in enumerate(used)}
    tallest = max((sum(1 for node in nodes if node.lane == lane) for lane in used), default=1)
    place: dict[str, Point] = {}
    order = _untangled(nodes, list(edges := list(edges)), used)
    for lane in used:
        members = order[lane]
        offset = (tallest - len(members)) * row / 2
        for i, node in enumerate(members):
            place[node.key] = (column[lane], top + offset + i * row)
    total_width = len(used) * width + (len(used) - 1) * gap
    total_height = top + tallest * row
    return format_html(
        '<svg class="plot graph" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="group" aria-label="{2}">'
        '{3}<path class="axis" d="M0 22H{0}"/>{4}{5}</svg>',
        px(total_width),
        px(total_height),
        label,
        format_html_join("", '<text class="lane" x="{}" y="12">{}</text>', ((column[lane], lanes[lane]) for lane in used)),
        SafeString(
            "".join(_edge(place[e.source], place[e.target], width, height) for e in edges if {e.source, e.target} <= place.keys())
        ),
        SafeString(
            "".join(_box(node, place[node.key], width, height, icons, lanes[node.lane]) for lane in used for node in order[lane])
        ),
    )


def _untangled(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], used: Sequence[int]) -> dict[int, list[GraphNode]]:
    """Order each lane by the mean place of its neighbours in the lanes before, so that few edges cross."""
    order = {lane: [node for node in nodes if node.lane == lane] for lane in used}
    for lane in used[1:]:
        rank = {node.key: i / max(1, len(order[other])) for other in used if other < lane for i, node in enumerate(order[other])}
        mean = {}
        for node in order[lane]:
            causes = [rank[edge.source] for edge in edges if edge.target == node.key and edge.source in rank]
            mean[node.key] = sum(causes) / len(causes) if causes else 0.5
        order[lane].sort(key=lambda node: mean[node.key])
    return order


def _edge(source: Point, target: Point, width: float, height: float) -> SafeString:
    x1, y1 = source[0] + width, source[1] + height / 2
    x2, y2 = target[0], target[1] + height / 2
    if x2 <= x1:
        bend = max(x1, target[0] + width) + 30
        return format_html(
            '<path class="edge" d="M{0} {1}C{2} {1} {2} {3} {4} {3}"/><path class="tip" d="M{5} {6}L{4} {3}L{5} {7}Z"/>',
            x1,
            y1,
            bend,
            y2,
            target[0] + width,
            target[0] + width + 8,
            y2 - 4,
            y2 + 4,
        )
    middle = (x1 + x2) / 2
    return format_html(
        '<path class="edge" d="M{0} {1}C{2} {1} {2} {3} {4} {3}"/><path class="tip" d="M{5} {6}L{7} {3}L{5} {8}Z"/>',
        x1,
        y1,
        middle,
        y2,
        x2 - 6,
        x2 - 8,
        y2 - 4,
        x2,
        y2 + 4,
    )


def _box(node: GraphNode, at: Point, width: float, height: float, icons: str, lane: str) -> SafeString:
    x, y = at
    return format_html(
        '<a href="{}" class="{}" aria-label="{}, {}, {}"><rect class="box" x="{}" y="{}" width="{}" height="{}" rx="6"/>'
        '<use href="{}#i-{}" class="i" x="{}" y="{}" width="16" height="16"/>'
        '<text class="strong name" x="{}" y="{}">{}</text><text class="dim" x="{}" y="{}">{}</text></a>',
        node.href,
        node.look,
        node.title,
        node.subtitle,
        lane,
        x + 0.5,
        y + 0.5,
        width - 1,
        height - 1,
        icons,
        node.icon,
        x + 10,
        y + 14,
        x + 36,
        y + 19,
        cut(node.title, 24),
        x + 36,
        y + 34,
        cut(node.subtitle, 30),
    )


def round_up(value: float) -> float:
    """Return the next number whose quarters are easy to read."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1.0, 2.0, 4.0, 8.0, 10.0) if step * power >= value * 0.999)


def cut(text: str, length: int) -> str:
    """Return a text of at most so many characters, with an ellipsis where some are left out."""
    return text if len(text) <= length else text[: length - 1] + "\u2026"


def px(value: float) -> str:
    """Return a coordinate without needless zeros."""
    return f"{value:g}"
