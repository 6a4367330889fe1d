"""The contract of a data set holds for what is registered after it, and gives away nothing of a closed one."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow
import pytest
from django.conf import LazySettings
from django.db import DatabaseError, transaction
from pyarrow import feather

from core.access import SYSTEM
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import AuditEvent, User
from registry import datasets
from registry.dataset_contracts import contract_draft, contract_report, contract_revisions, publish_contract
from registry.datasets import register_dataset, register_source
from registry.models import ContractReport, DataContract, Dataset, DatasetVersion
from tests.cast import actor

CONTRACT = "{kind: DataContract, columns: [{name: age, type: integer, min: 18}, {name: y, type: integer, allowed: [0, 1]}]}"
GOOD = b"age,y\n30,1\n18,0\n"
BAD = b"age,y\n30,1\n17,0\n12,2\n"


def register(who: User, content: bytes, name: str = "loans", **given: Any) -> DatasetVersion:
    return register_dataset(actor=actor(who), name=name, stream=io.BytesIO(content), format="csv", target="y", **given)


def _after(event: AuditEvent) -> dict[str, Any]:
    return dict(json.loads(event.body)["after"])


@pytest.fixture
def loans(pat: User) -> Dataset:
    """A data set with one version and a contract."""
    dataset = register(pat, GOOD).dataset
    publish_contract(actor=actor(pat), name="loans", document=CONTRACT)
    return dataset


def test_a_contract_is_published_by_who_registers_and_read_by_who_reads(pat: User, dana: User, mallory: User) -> None:
    register(pat, GOOD)
    with pytest.raises(Denied):
        publish_contract(actor=actor(dana), name="loans", document=CONTRACT)
    with pytest.raises(NotFound):
        publish_contract(actor=actor(pat), name="none", document=CONTRACT)
    with pytest.raises(Invalid, match="line 1, column 8: kind must be DataContract") as refused:
        publish_contract(actor=actor(pat), name="loans", document="{kind: Policy, columns: [{name: a, type: number}]}")
    assert refused.value.code == "malformed_contract"
    first = publish_contract(actor=actor(pat), name="loans", document=CONTRACT)
    assert publish_contract(actor=actor(pat), name="loans", document=CONTRACT) == first
    assert publish_contract(actor=actor(pat), name="loans", document=f"{CONTRACT}\n").number == 2
    events = AuditEvent.objects.filter(action="dataset.contract_published", subject_id="loans")
    assert [_after(event)["contract"] for event in events.order_by("id")] == [1, 2]
    assert [(row.number, row.created_by) for row in contract_revisions(actor(dana), "loans")] == [(2, "pat"), (1, "pat")]
    with pytest.raises(NotFound):
        contract_revisions(actor(dana), "none")
    with pytest.raises(Denied):
        contract_revisions(actor(mallory), "loans")


def test_a_file_that_breaks_the_contract_is_refused_with_the_report(pat: User, loans: Dataset) -> None:
    with pytest.raises(Invalid, match=r"column 'age' has 2 rows against the rule min \(at least 18\) and 1 more") as refused:
        register(pat, BAD)
    assert refused.value.code == "contract_violated"
    age, y = refused.value.details["report"]["violations"]
    assert (age["rule"], age["first_rows"], age["examples"]) == ("min", [2, 3], ["17", "12"])
    assert (y["rule"], y["first_rows"], y["expected"]) == ("allowed", [3], "one of 0, 1")
    assert DatasetVersion.objects.count() == 1 and not ContractReport.objects.exists()
    kept = register(pat, GOOD + b"40,1\n")
    assert contract_report(actor(pat), "loans").satisfied and kept.number == 2


def test_it_is_kept_with_the_report_where_a_warning_is_enough(pat: User, dana: User, mallory: User, loans: Dataset) -> None:
    version = register(pat, BAD, contract="warn")
    report = contract_report(actor(dana), "loans@v2")
    assert not report.satisfied and [each.rows for each in report.violations] == [2, 1]
    assert [row.keeps_contract for row in datasets.datasets(actor(dana))[0].versions] == [False, None]
    event = AuditEvent.objects.get(action="dataset.registered", subject_id="loans@v2")
    assert (_after(event)["keeps_contract"], _after(event)["origin"]) == (False, "upload")
    # The same content again is the version it is already, whatever the contract says.
    assert register(pat, BAD) == version
    with pytest.raises(NotFound, match="met no contract"):
        contract_report(actor(dana), "loans@v1")
    with pytest.raises(Denied):
        contract_report(actor(mallory), "loans@v2")


def test_nothing_of_a_closed_data_set_is_told(pat: User, dana: User, loans: Dataset) -> None:
    register(pat, BAD, contract="warn")
    assert [each.examples for each in contract_report(actor(dana), "loans@v2").violations] == [["17", "12"], ["2"]]
    assert "min: 12" in contract_draft(actor(pat), "loans@v2").document
    register(pat, GOOD, closed=True)
    for who in (actor(dana), actor(pat)):
        report = contract_report(who, "loans@v2")
        assert [(each.rows, each.first_rows, each.examples) for each in report.violations] == [(2, [2, 3], []), (1, [3], [])]
    assert contract_report(SYSTEM, "loans@v2").violations[0].examples == ["17", "12"]
    assert "12" not in contract_draft(actor(pat), "loans@v2").document
    with pytest.raises(Invalid) as refused:
        register(pat, BAD + b"11,3\n")
    assert "11" not in str(refused.value.details) + refused.value.message
    third = register(pat, BAD + b"11,3\n", contract="warn")
    assert all(each["examples"] == [] for each in ContractReport.objects.get(version=third).document["violations"])


def test_a_contract_that_changes_while_a_file_is_read_is_noticed(
    pat: User, loans: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = datasets.compare

    def slowly(*given: Any) -> Any:
        report = reading(*given)
        DataContract.objects.create(dataset=loans, number=2, document=CONTRACT.replace("18", "40"))
        return report

    monkeypatch.setattr(datasets, "compare", slowly)
    with pytest.raises(Conflict, match="was changed while the file was read"):
        register(pat, GOOD + b"20,0\n")
    assert DatasetVersion.objects.count() == 1


def test_a_draft_is_for_who_publishes(pat: User, dana: User) -> None:
    register(pat, GOOD)
    draft = contract_draft(actor(pat), "loans")
    assert draft.version == "loans@v1"
    publish_contract(actor=actor(pat), name="loans", document=draft.document)
    with pytest.raises(Invalid, match="at most 30"):
        register(pat, GOOD + b"31,0\n")
    with pytest.raises(Denied):
        contract_draft(actor(dana), "loans")


def test_contracts_and_reports_stay_as_they_are(pat: User, loans: Dataset) -> None:
    register(pat, BAD, contract="warn")
    for rows in (DataContract.objects.all(), ContractReport.objects.all()):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            rows.update(id=7)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            rows._raw_delete("default")


def test_a_file_on_the_server_is_registered_from_where_it_may_be_read(
    pat: User, dana: User, settings: LazySettings, tmp_path: Any
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    feather.write_feather(pyarrow.table({"age": [30, None], "y": [0, 1]}), str(folder / "rows.feather"))
    asked = {"name": "loans", "target": "y", "source": f"{folder}/rows.feather"}
    with pytest.raises(Invalid, match="DATASET_SOURCES"):
        register_source(actor=actor(pat), **asked)
    settings.DATASET_SOURCES = [str(folder)]
    with pytest.raises(Denied):
        register_source(actor=actor(dana), **asked)
    version = register_source(actor=actor(pat), **asked)
    assert (version.format, version.row_count) == ("arrow", 2)
    assert version.columns == [{"name": "age", "type": "integer"}, {"name": "y", "type": "integer"}]
    event = AuditEvent.objects.get(action="dataset.registered")
    assert _after(event)["origin"] == f"{folder}/rows.feather"
    with pytest.raises(Invalid, match=r"rows.xls: a data set is a file that ends in"):
        register_source(actor=actor(pat), **{**asked, "source": f"{folder}/rows.xls"})
    with pytest.raises(NotFound):
        register_source(actor=actor(pat), **{**asked, "source": f"{folder}/absent.csv"})
