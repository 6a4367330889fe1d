"""What the checks measure agrees with reference implementations, and nothing that they emit is left out of the page."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from governance.checks import catalogue
from scripts.ground_truth import page
from scripts.ground_truth.agreement import Agreement, Chapter, Pair
from scripts.ground_truth.everything import COUNTS, measure


@pytest.fixture(scope="module")
def chapters(tmp_path_factory: pytest.TempPathFactory) -> list[Chapter]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return measure(tmp_path_factory.mktemp("ground-truth"), slow=False)


def test_every_number_is_within_its_tolerance(chapters: list[Chapter]) -> None:
    off = [
        (chapter.check, each.metric, each.data, each.farthest) for chapter in chapters for each in chapter.rows if not each.holds
    ]
    assert off == []
    assert sum(len(each.pairs) for chapter in chapters for each in chapter.rows) > 400


def test_every_metric_that_is_emitted_has_a_reference_or_is_a_count(chapters: list[Chapter]) -> None:
    compared = {each.metric for chapter in chapters for each in chapter.rows}
    emitted = set().union(*(chapter.emitted for chapter in chapters))
    assert emitted - compared == set(COUNTS)
    ran = {name for chapter in chapters for name in chapter.check.split(", ")}
    assert ran == set(catalogue.available())


def test_the_page_has_every_metric(chapters: list[Chapter]) -> None:
    text = page.PAGE.read_text()
    for chapter in chapters:
        told = set(
            re.findall(r"^\| `([^`]+)` \|", text.partition(f"\n## {chapter.check}\n")[2].partition("\n## ")[0], re.MULTILINE)
        )
        assert {each.metric for each in chapter.rows} <= told, chapter.check
    assert dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", text.partition("## Without a reference")[2], re.MULTILINE)) == COUNTS
    assert all(name in text for name in ("German Credit", "breast cancer", "Adult", "Bank Marketing", "Diabetes 130-US"))


def test_a_number_that_is_off_is_told(chapters: list[Chapter], tmp_path: Path) -> None:
    right = next(each for each in chapters[0].rows if each.metric == "roc_auc")
    ours = right.pairs[0].ours
    assert ours is not None and right.holds
    assert not replace(right, pairs=(Pair(ours + 1e-8, ours),)).holds
    assert not replace(right, pairs=(Pair(None, ours),)).holds and not replace(right, pairs=(Pair(None, None),)).holds
    assert Agreement("rmse", "", "", "", (Pair(3000.0 + 1e-7, 3000.0),)).holds
    assert not Agreement("rmse", "", "", "", (Pair(3000.0 + 1e-5, 3000.0),)).holds
