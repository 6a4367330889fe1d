"""The tables of checks, drawn: well formed, named in words, beside the champion, and never in the way of the numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import pytest

from governance.queries import CheckRunRow, MeasurementRow, TableRow
from interfaces.web.figures import Figure, figures
from interfaces.web.figures.registry import KINDS
from interfaces.web.pages import words

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]

TABLES: Mapping[str, Table] = {
    "roc_curve": (("false_positive_rate", "true_positive_rate", "threshold"), [(0, 0, None), (0.2, 0.7, 0.5), (1, 1, 0.0)]),
    "pr_curve": (
        ("recall", "precision", "threshold", "prevalence"),
        [(0, 1, 0.9, 0.3), (0.6, 0.8, 0.5, 0.3), (1, 0.3, 0.1, 0.3)],
    ),
    "calibration": (
        ("low", "high", "mean_score", "share_favourable", "rows"),
        [(0, 0.5, 0.3, 0.25, 40), (0.5, 0.75, None, None, 0), (0.75, 1, 0.8, 0.9, 60)],
    ),
    "group_calibration": (
        ("feature", "group", "low", "high", "mean_score", "share_favourable", "rows"),
        [("sex", group, low, low + 0.5, low + 0.2, low + 0.3, 50) for group in ("female", "male") for low in (0.0, 0.5)],
    ),
    "confusion_matrix": (
        ("truth", "decided_favourable", "decided_unfavourable"),
        [("favourable", 90, 10), ("unfavourable", 30, 70)],
    ),
    "selection_rates": (
        ("feature", "group", "rows", "selected", "selection_rate", "ci_low", "ci_high", "impact_ratio"),
        [("sex", "female", 100, 35, 0.35, 0.26, 0.45, 0.7), ("sex", "male", 100, 50, 0.5, 0.4, 0.6, 1.0)],
    ),
    "impact_ratios": (
        ("feature", "group", "impact_ratio", "ci_low", "ci_high"),
        [("sex", "female", 0.7, 0.52, 0.93), ("sex", "male", 1.0, 0.8, 1.25)],
    ),
    "feature_attribution": (
        ("feature", "attribution", "ci_low", "ci_high"),
        [("income", 0.12, 0.1, 0.14), ("age", 0.02, -0.01, 0.05)],
    ),
    "attribution_values": (
        ("feature", "row", "value", "shapley"),
        [("income", row, row / 9, row / 9 - 0.5) for row in range(10)]
        + [("purpose", row, None, 0.01 * row) for row in range(10)],
    ),
    "feature_drift": (
        ("feature", "kind", "psi", "js", "ks_or_cramers_v", "missing_reference", "missing_now"),
        [("age", "number", 0.08, 0.01, 0.1, 0, 0), ("income", "number", 0.31, 0.1, 0.4, 0, 0)],
    ),
    "drift_bins": (
        ("feature", "bin", "share_reference", "share_now"),
        [("age", "up to 30", 0.5, 0.4), ("age", "over 30", 0.5, 0.6)],
    ),
    "perturbations": (
        ("perturbation", "feature", "flipped", "ci_low", "ci_high"),
        [("noise", "income", 0.11, 0.08, 0.15), ("out_of_range", "", 0.4, 0.35, 0.45), ("unseen", "purpose", None, None, None)],
    ),
    "residuals": (
        ("lowest_prediction", "highest_prediction", "rows", "mean", "q05", "q25", "q50", "q75", "q95"),
        [(100.0, 180.0, 50, 0.5, -20, -8, 0, 8, 20), (181.0, 300.0, 50, -6.25, -40, -16, -5, 6, 30)],
    ),
    "against_champion": (
        ("metric", "this_version", "champion", "difference", "ci_low", "ci_high"),
        [("roc_auc", 0.8, 0.75, 0.05, 0.01, 0.09), ("brier", 0.2, 0.19, 0.01, -0.02, 0.04)],
    ),
}
SAID = {  # what the name of each drawing must say: its main numbers
    "roc_curve": "area 0.801",
    "pr_curve": "area 0.702",
    "calibration": "in 2 bins; the farthest is 0.10 from the diagonal",
    "group_calibration": "sex female 0.10, sex male 0.10",
    "confusion_matrix": "favourable decided favourable 90 (90%)",
    "selection_rates": "sex female 0.70, sex male 1.00; four-fifths line at 0.8",
    "impact_ratios": "sex female 0.70",
    "feature_attribution": "income 0.120, age 0.020",
    "attribution_values": "mean absolute: income 0.278",
    "feature_drift": "income 0.310, age 0.080; 1 of 2 features at or above 0.25",
    "drift_bins": "age up to 30 from 50% to 40%",
    "perturbations": "noise 0.110 (income), out of range 0.400 (all)",
    "residuals": f"at predictions from 181 to 300: {words.MINUS}6.250",
    "against_champion": f"ROC AUC +0.050 better, +0.010 to +0.090; Brier score +0.010 worse, {words.MINUS}0.020 to +0.040",
}


def run_of(name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> CheckRunRow:
    at = datetime(2026, 11, 27, tzinfo=UTC)
    measured = [
        MeasurementRow(metric, "", value, 200, None, None, "") for metric, value in (("roc_auc", 0.801), ("pr_auc", 0.702))
    ]
    return CheckRunRow(
        id=UUID(int=7), model="m", version=2, check="c", check_revision="1", parameters={}, dataset="", dataset_digest="",
        content_digest="", inputs_digest="", result_digest="", state="passed", progress=1, progress_text="", error_code="",
        error_message="", worker="", isolation="", resource_class="cpu", compared_with=None, source="worker", report=None, environment={}, requested_by="dana", created_at=at, started_at=at,
        finished_at=at, measurements=measured, findings=[], log="",
        tables=[TableRow("c", name, title, list(columns), [list(row) for row in rows])],
    )  # fmt: skip


def drawn(name: str, table: Table, champion: Table | None = None, **limits: float) -> Figure:
    runs = {"c": run_of(name, *table)}
    others = {"c": run_of(name, *champion)} if champion else {}
    (figure,) = figures(runs, others, limits=limits, version="v2", other="v1" if champion else "")
    return figure


def test_each_way_to_draw_has_its_case() -> None:
    assert TABLES.keys() == KINDS.keys() == SAID.keys()


@pytest.mark.parametrize("name", sorted(TABLES))
@pytest.mark.parametrize("compared", [False, True])
def test_a_drawing_is_an_image_named_by_its_numbers_that_stays_inside_its_frame(name: str, compared: bool) -> None:
    figure = drawn(name, TABLES[name], TABLES[name] if compared else None)
    assert figure.drawing is not None and "v2" in figure.note + figure.drawing
    picture = ElementTree.fromstring(figure.drawing)
    assert picture.get("role") == "img" and "v2" in picture.attrib["aria-label"] and SAID[name] in picture.attrib["aria-label"]
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    for shape in picture.iter():
        assert "style" not in shape.attrib and "fill" not in shape.attrib, "the stylesheet colours, so that both themes work"
        x, y = float(shape.get("cx", shape.get("x", 0))), float(shape.get("cy", shape.get("y", 0)))
        assert -0.1 <= x <= width + 0.1 and -0.1 <= y <= height + 0.1
        assert x + float(shape.get("width", 0)) <= width + 0.1 or shape is picture
    assert figure.rows and len(figure.columns) == len(figure.rows[0]), "the numbers stay below"


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("roc_curve", 'class="lc"'),
        ("pr_curve", 'class="lc"'),
        ("calibration", 'class="lc"'),
        ("group_calibration", 'class="lc"'),
        ("confusion_matrix", "v1 90 (90%)"),
        ("selection_rates", 'class="fc"'),
        ("impact_ratios", 'class="fc"'),
        ("feature_attribution", 'class="fc"'),
        ("attribution_values", "(v1 0.278)"),
        ("feature_drift", 'class="fc"'),
        ("perturbations", 'class="fc"'),
        ("residuals", 'class="fc"'),
    ],
)
def test_the_champion_is_drawn_beside(name: str, mark: str) -> None:
    beside, alone = drawn(name, TABLES[name], TABLES[name]), drawn(name, TABLES[name])
    assert mark in str(beside.drawing) and mark not in str(alone.drawing)


def test_lines_people_go_by_are_drawn_where_they_are() -> None:
    ratios = drawn("impact_ratios", TABLES["impact_ratios"]).drawing
    assert "four fifths" in str(ratios) and "limit" not in str(ratios).replace('class="limit"', "")
    assert "limit 0.85" in str(drawn("selection_rates", TABLES["selection_rates"], sex=0.85).drawing)
    drift = str(drawn("feature_drift", TABLES["feature_drift"]).drawing)
    assert "0.1 moderate" in drift and "0.25 large" in drift
    # from 118 to 294 pixels over PSI 0 to 0.4
    assert [float(at) for at in re.findall(r'class="limit" d="M([\d.]+)', drift)] == [162.0, 228.0]


def test_chance_is_known_from_the_truth_of_the_same_run() -> None:
    columns, rows = TABLES["pr_curve"]
    run = run_of("pr_curve", columns[:3], [row[:3] for row in rows])
    truth = run_of("confusion_matrix", *TABLES["confusion_matrix"])
    (alone,) = figures({"c": run}, {}, limits={}, version="v2", other="")
    assert "chance" not in f"{alone.drawing}{alone.note}"
    curve, _ = figures({"c": replace(run, tables=run.tables + truth.tables)}, {}, limits={}, version="v2", other="")
    assert "chance 0.50" in str(curve.drawing)


def test_a_policys_limit_replaces_the_customary_line() -> None:
    own = str(drawn("selection_rates", TABLES["selection_rates"], sex=0.85).drawing)
    assert "four" not in own and "limit 0.85" in own


def test_intervals_of_rates_are_not_drawn_as_those_of_ratios() -> None:
    assert 'class="whisker"' not in str(drawn("selection_rates", TABLES["selection_rates"]).drawing)
    assert str(drawn("impact_ratios", TABLES["impact_ratios"]).drawing).count('class="whisker"') == 2


def test_a_difference_that_may_be_none_has_a_hollow_dot() -> None:
    assert re.findall(r'<circle class="([^"]+)"', str(drawn("against_champion", TABLES["against_champion"]).drawing)) == [
        "f1",
        "f1 hollow",
    ]


def test_high_values_of_a_feature_lie_above_low_ones_and_twice_drawn_is_the_same() -> None:
    figure = drawn("attribution_values", TABLES["attribution_values"])
    assert figure.drawing == drawn("attribution_values", TABLES["attribution_values"]).drawing
    picture = ElementTree.fromstring(str(figure.drawing))
    height = {
        dots.attrib["class"]: [float(y) for y in re.findall(r"M[\d.]+ ([\d.]+)h", dots.attrib["d"])]
        for dots in picture.iter("path")
        if dots.attrib["class"].startswith("dot")
    }
    assert max(height["dot dot-4"]) < min(height["dot dot-0"]), "up is less on the page"
    assert len(height["dot dot-none"]) == 10


@pytest.mark.parametrize("name", sorted(TABLES))
def test_what_a_plug_in_writes_under_a_known_name_is_shown_as_a_table(name: str) -> None:
    other = drawn(name, (("something", "else"), [("a", "<b>")]))
    assert other.drawing is None and other.rows == (("a", "<b>"),)
    columns, rows = TABLES[name]
    assert drawn(name, (columns, [])).drawing is None, "nothing is no drawing"
    texts = drawn(name, (columns, [["<script>"] * len(columns) for _ in rows]))
    assert texts.rows and "<script>" not in str(texts.drawing)


def test_a_table_nobody_knows_keeps_its_numbers_and_gets_words_for_heads() -> None:
    figure = drawn("plug_in", (("purl", "ci_low", "psi", "weight_of_evidence"), [("pkg:pypi/x", 0.1, None, 1200)]))
    assert figure.drawing is None and figure.title == "Plug in"
    assert figure.columns == ("PURL", "CI low", "PSI", "Weight of evidence")
    assert figure.rows == (("pkg:pypi/x", "0.100", "none", "1,200"),)


def test_empty_bins_have_no_row_and_long_tables_are_cut_with_a_count() -> None:
    assert len(drawn("calibration", TABLES["calibration"]).rows) == 2
    long = drawn("plug_in", (("n",), [(i,) for i in range(100)]))
    assert (len(long.rows), long.left_out) == (60, 40)
