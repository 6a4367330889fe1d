"""Data sets from elsewhere and their contracts, as each of the cast meets them over HTTP."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from django.conf import LazySettings
from django.test import Client

pytestmark = pytest.mark.django_db

CONTRACT = "kind: DataContract\ncolumns:\n- {name: x, type: integer, min: 0}\n- {name: y, type: integer, allowed: [0, 1]}\n"
GOOD = b"x,y\n1,0\n2,1\n"
BAD = b"x,y\n1,0\n-5,1\n-7,1\n"
WHERE = "datasets/?name=held-out&format=csv&target=y"


def test_a_contract_is_published_and_read(api, pat, dana, mallory) -> None:
    address = "datasets/held-out/contract/"
    assert api(pat).send("post", address, CONTRACT.encode(), "application/yaml").status_code == 404
    api(pat).send("post", WHERE, GOOD, "text/csv")
    assert api(dana).get(address).json()["results"] == []
    made = api(pat).send("post", address, CONTRACT.encode(), "application/yaml")
    assert made.status_code == 201 and made.json()["document"] == CONTRACT and made.json()["number"] == 1
    assert api(pat).post(address, {"document": CONTRACT}).json() == made.json()
    (listed,) = api(dana).get(address).json()["results"]
    assert listed == made.json() and listed["created_by"] == "pat"
    wrong = api(pat).post(address, {"document": "kind: DataContract\ncolumns:\n- {name: x}\n"})
    assert wrong.status_code == 400 and wrong.json()["code"] == "malformed_contract"
    assert (wrong.json()["errors"][0]["line"], wrong.json()["errors"][0]["detail"]) == (3, "entry 1 of columns lacks type")
    assert api(dana).post(address, {"document": CONTRACT}).status_code == 403
    assert api(mallory).get(address).status_code == 403


def test_a_file_is_held_against_the_contract(api, pat, dana, mallory) -> None:
    api(pat).send("post", WHERE, GOOD, "text/csv")
    api(pat).post("datasets/held-out/contract/", {"document": CONTRACT})
    refused = api(pat).send("post", WHERE, BAD, "text/csv")
    assert refused.status_code == 400 and refused.json()["code"] == "contract_violated"
    (violation,) = refused.json()["report"]["violations"]
    assert violation == {
        "column": "x",
        "rule": "min",
        "expected": "at least 0",
        "found": "2 rows",
        "rows": 2,
        "first_rows": [2, 3],
        "examples": ["-5", "-7"],
    }
    kept = api(pat).send("post", f"{WHERE}&contract=warn", BAD, "text/csv")
    assert (kept.status_code, kept.json()["reference"], kept.json()["keeps_contract"]) == (201, "held-out@v2", False)
    report = "datasets/held-out/versions/2/contract-report/"
    assert api(dana).get(report).json() == {"contract": 1, "satisfied": False, "row_count": 3, "violations": [violation]}
    assert api(mallory).get(report).status_code == 403
    assert api(dana).get("datasets/held-out/versions/1/contract-report/").status_code == 404
    assert api(dana).get("datasets/held-out/versions/9/contract-report/").status_code == 404
    api(pat).send("post", f"{WHERE}&closed=true", GOOD, "text/csv")
    for reader in (dana, pat):
        assert api(reader).get(report).json()["violations"] == [{**violation, "examples": []}]


def test_a_draft_is_read_by_who_may_publish_it(api, pat, dana) -> None:
    api(pat).send("post", WHERE, GOOD, "text/csv")
    api(pat).send("post", WHERE, BAD, "text/csv")
    draft = api(pat).get("datasets/held-out/contract/draft/").json()
    assert draft["version"] == "held-out@v2" and "min: -7" in draft["document"]
    first = api(pat).get("datasets/held-out/contract/draft/", version=1).json()
    assert first["version"] == "held-out@v1" and "min: 1" in first["document"]
    assert api(pat).post("datasets/held-out/contract/", {"document": first["document"]}).status_code == 201
    assert api(pat).get("datasets/held-out/contract/draft/", version=7).status_code == 404
    assert api(pat).get("datasets/held-out/contract/draft/", version="x").status_code == 400
    assert api(dana).get("datasets/held-out/contract/draft/").status_code == 403
    api(pat).send("post", f"{WHERE}&closed=true", GOOD, "text/csv")
    assert "min: " not in api(pat).get("datasets/held-out/contract/draft/").json()["document"]


def test_a_file_is_registered_from_where_it_lies(api, pat, dana, settings: LazySettings, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_bytes(GOOD)
    settings.DATASET_SOURCES = [str(tmp_path / "data")]
    asked = {"name": "held-out", "target": "y", "source": f"{tmp_path}/data/rows.csv"}
    made = api(pat).post("datasets/", asked)
    assert made.status_code == 201 and made["Location"] == "/api/v1/datasets/held-out/"
    assert (made.json()["format"], made.json()["row_count"]) == ("csv", 2)
    assert api(pat).post("datasets/", {**asked, "source": f"{tmp_path}/data/../rows.csv"}).status_code == 400
    assert api(pat).post("datasets/", {**asked, "source": f"{tmp_path}/data/absent.csv"}).status_code == 404
    assert api(pat).post("datasets/", {**asked, "format": "xls"}).json()["errors"][0]["pointer"] == "#/format"
    assert api(dana).post("datasets/", asked).status_code == 403
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert api(pat).post("datasets/", asked).status_code == 413


def test_the_schema_of_contracts_is_for_editors() -> None:
    schema = Client().get("/api/v1/data-contract-schema.json").json()
    assert schema["$id"].endswith("/api/v1/data-contract-schema.json")
    jsonschema.validate({"kind": "DataContract", "columns": [{"name": "a", "type": "integer"}]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"kind": "DataContract", "columns": [{"name": "a"}]}, schema)
