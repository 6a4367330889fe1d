"""register_dataset and publish_contract."""

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
    assert "ends in .csv.gz, .csv, .parquet, .arrow" in str(
        refused("register_dataset", "v", str(tmp_path / "rows.xlsx"), "--target", "y")
    )
    assert "No such file" in str(refused("register_dataset", "v", str(tmp_path / "absent.csv"), "--target", "y"))
    assert not DatasetVersion.objects.exists()


def test_a_contract_is_published_from_a_file_and_holds(run, refused, tmp_path) -> None:
    file, contract = tmp_path / "rows.csv", tmp_path / "contract.yaml"
    file.write_text("x,y\n1,0\n2,1\n")
    run("register_dataset", "validation", str(file), "--target", "y")
    contract.write_text("kind: DataContract\ncolumns: [{name: x, type: integer, max: 2}]\n")
    assert run("publish_contract", "validation", str(contract)).strip() == "validation: contract revision 1"
    file.write_text("x,y\n1,0\n3,1\n")
    assert "at most 2" in str(refused("register_dataset", "validation", str(file), "--target", "y"))
    assert "validation@v2" in run("register_dataset", "validation", str(file), "--target", "y", "--contract", "warn")
    contract.write_text("kind: DataContract\ncolumns: []\n")
    assert f"{contract}: " in str(refused("publish_contract", "validation", str(contract)))
    assert "DATASET_SOURCES" in str(refused("register_dataset", "validation", "s3://bucket/rows.csv", "--target", "y"))
