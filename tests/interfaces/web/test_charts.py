"""Charts from numbers: well formed, inside their frame, and saying what they show."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.web import charts

shares = st.floats(min_value=0, max_value=1)
values = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)


def parsed(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)


@given(values, values, st.one_of(st.none(), values), st.sampled_from(["≥", "≤", ""]))
def test_a_gauge_keeps_its_marks_inside(value: float, limit: float, champion: float | None, sign: str) -> None:
    drawing = parsed(charts.gauge(value, limit, sign=sign, champion=champion, label="x"))
    for circle in drawing.iter("circle"):
        assert 4 <= float(circle.attrib["cx"]) <= 136
    for zone in drawing.iter("rect"):
        assert float(zone.attrib["width"]) >= 0


def test_a_gauge_shades_the_allowed_side_and_rings_the_champion() -> None:
    least = parsed(charts.gauge(0.84, 0.8, sign="≥", champion=0.71, label="v7 0.84"))
    zone, ring, dot = least.find("rect"), *least.findall("circle")
    assert zone is not None and zone.attrib["x"] == "109.6" and float(dot.attrib["cx"]) > 109.6 > float(ring.attrib["cx"])
    assert least.attrib["aria-label"] == "v7 0.84" and least.attrib["role"] == "img"
    most = parsed(charts.gauge(0.3, 0.8, sign="≤", label="x")).find("rect")
    assert most is not None and most.attrib["x"] == "4.0"


def test_pips_are_filled_for_what_is_there_and_become_a_bar_when_many() -> None:
    boxes = parsed(charts.pips(3, 5, tone="fail", label="3 of 5")).findall("rect")
    assert [box.attrib.get("class", "") for box in boxes] == ["full"] * 3 + [""] * 2
    assert len(parsed(charts.pips(3, 50, tone="fail", label="x")).findall("rect")) == 2


@given(st.lists(st.tuples(st.text(max_size=30), st.one_of(st.none(), shares), st.one_of(st.none(), shares)), max_size=12))
def test_bars_are_well_formed_whatever_the_labels(rows: list[tuple[str, float | None, float | None]]) -> None:
    clean = [
        (label.encode("utf-8", "ignore").decode().translate(dict.fromkeys((*range(32), 65534, 65535))), a, b)
        for label, a, b in rows
    ]
    drawing = parsed(charts.bars([charts.Bar(*row) for row in clean], label="x", limit=0.8, full=1.0))
    bars = list(drawing.iter("rect"))
    assert len(bars) == sum(value is not None for _, value, _ in clean)
    assert all(0 <= float(bar.attrib["width"]) <= 176 for bar in bars)


def test_bars_begin_at_zero_and_write_the_limit_on_its_line() -> None:
    drawing = charts.bars([charts.Bar("Sex", heading=True), charts.Bar("<b>", 0.5, 0.9)], label="l", limit=0.8, full=1.0)
    assert "limit 0.80" in drawing and "&lt;b&gt;" in drawing and 'x="118.0"' in drawing


def test_curves_draw_the_champion_only_where_there_is_one() -> None:
    points = [(0.0, 0.0), (0.2, 0.7), (1.0, 1.0)]
    alone = charts.roc(points, [], label="l", names=("v2", ""))
    both = charts.roc(points, points, label="l", names=("v2", "v1"))
    assert 'class="lc"' not in alone and "dashed" not in alone
    assert 'class="lc"' in both and "v1, dashed" in both
    assert len(list(parsed(charts.calibration(points, [], label="l", names=("v2", ""))).iter("circle"))) == 3


@pytest.mark.parametrize("count", [1, 7, 40])
def test_a_graph_places_every_node_once_in_its_lane_and_draws_every_edge(count: int) -> None:
    nodes = [charts.GraphNode(f"d{i}", 0, "dataset", f"data {i}", "s", "#") for i in range(count)]
    nodes += [charts.GraphNode("r", 1, "run_node", "run", "s", "#"), charts.GraphNode("m", 3, "model", "m", "s", "#", "root")]
    edges = [charts.GraphEdge(f"d{i}", "r") for i in range(count)]
    edges += [charts.GraphEdge("r", "m"), charts.GraphEdge("m", "gone")]
    drawing = parsed(charts.layered(nodes, edges, ("A", "B", "C", "D"), icons="/i.svg", label="l"))
    places = [(box.attrib["x"], box.attrib["y"]) for box in drawing.iter("rect")]
    assert len(places) == len(set(places)) == len(nodes)
    assert len([path for path in drawing.iter("path") if path.attrib["class"] == "edge"]) == count + 1
    assert [text.text for text in drawing.iter("text") if text.attrib["class"] == "lane"] == ["A", "B", "D"]
