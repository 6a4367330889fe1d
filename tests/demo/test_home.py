"""The demo begins anew over itself alone."""

from __future__ import annotations

from pathlib import Path

from demo.home import begin_anew


def test_an_instance_that_no_demo_made_is_kept(tmp_path: Path) -> None:
    (tmp_path / "countersign.sqlite3").write_text("mine")
    (tmp_path / "artifacts").mkdir()
    kept = begin_anew(tmp_path)
    assert kept is not None
    assert (kept / "countersign.sqlite3").read_text() == "mine"
    assert not (tmp_path / "countersign.sqlite3").exists()


def test_an_earlier_demo_is_emptied_and_what_else_lies_there_is_left(tmp_path: Path) -> None:
    assert begin_anew(tmp_path) is None
    (tmp_path / "countersign.sqlite3").write_text("demo")
    (tmp_path / "test").mkdir()
    assert begin_anew(tmp_path) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made-by-demo", "test"]
