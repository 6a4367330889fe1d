"""register_dataset."""

from __future__ import annotations

from registry.models import DatasetVersion


def test_a_file_becomes_a_version_once(run, tmp_path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("x,y\n1,0\n2,1\n")
    told = run("register_dataset", "validation", str(file), "--target", "y", "--closed")
    assert told.startswith("validation@v1: 2 rows, target y, sha256:")
    assert run("register_dataset", "validation", str(file), "--target", "y") == told
    version = DatasetVersion.objects.select_related("dataset").get()
    assert version.dataset.closed
    file.write_text("x,y\n1,0\n2,1\n3,1\n")
    assert "validation@v2: 3 rows" in run("register_dataset", "validation", str(file), "--target", "y")


def test_a_file_that_cannot_serve_is_refused_with_what_to_do(refused, tmp_path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("x,y\n1,0\n")
    assert "x, y" in str(refused("register_dataset", "validation", str(file), "--target", "outcome"))
    assert "ends in .csv.gz, .csv, .parquet" in str(
        refused("register_dataset", "v", str(tmp_path / "rows.xlsx"), "--target", "y")
    )
    assert "No such file" in str(refused("register_dataset", "v", str(tmp_path / "absent.csv"), "--target", "y"))
    assert not DatasetVersion.objects.exists()
