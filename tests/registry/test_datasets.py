from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import sys
from datetime import timedelta

import pytest

from artifacts.commands import collect, collect_unreferenced
from artifacts.models import Blob
from artifacts.store import store
from core.access import SYSTEM
from core.errors import Denied, Invalid, NotFound
from core.models import AuditEvent, User
from registry import datasets
from registry.datasets import register_dataset
from registry.models import DatasetVersion
from tests.cast import actor

CSV = b"age,income,owner,since,label\n30,1.5,true,2024-01-01,yes\n41,2,false,2024-02-01,no\n,3,,,no\n"


def test_a_file_becomes_a_version_with_its_shape(pat: User, dana: User) -> None:
    version = register_dataset(
        actor=actor(pat), name="loans", stream=io.BytesIO(CSV), format="csv", target="label", description="Test loans"
    )
    assert str(version) == "loans@v1" and version.row_count == 3
    assert version.columns == [
        {"name": "age", "type": "integer"},
        {"name": "income", "type": "number"},
        {"name": "owner", "type": "boolean"},
        {"name": "since", "type": "datetime"},
        {"name": "label", "type": "string"},
    ]
    (found,) = datasets.datasets(actor(dana))
    assert (found.name, found.description, found.versions[0].digest) == ("loans", "Test loans", version.digest)
    assert AuditEvent.objects.filter(action="dataset.registered", subject_id="loans@v1").count() == 1
    with datasets.open_content(actor(dana), "loans") as file:
        assert file.read() == CSV


def test_the_same_content_again_is_the_same_version(pat: User) -> None:
    first = register_dataset(actor=actor(pat), name="loans", stream=io.BytesIO(CSV), format="csv", target="label")
    again = register_dataset(actor=actor(pat), name="loans", stream=io.BytesIO(CSV), format="csv", target="label")
    other = register_dataset(actor=actor(pat), name="loans", stream=io.BytesIO(CSV + b"1,1,,,no\n"), format="csv", target="label")
    assert (again.pk, other.number) == (first.pk, 2)
    assert datasets.dataset_version(actor(pat), "loans").number == 2
    assert datasets.dataset_version(actor(pat), "loans@v1").number == 1
    assert AuditEvent.objects.filter(action="dataset.registered").count() == 2
    with pytest.raises(NotFound):
        datasets.dataset_version(actor(pat), "loans@v3")
    with pytest.raises(Invalid):
        datasets.dataset_version(actor(pat), "loans@new")


@pytest.mark.parametrize("form", ["csv.gz", "parquet", "arrow", "arrow stream", "arrow feather"])
def test_other_formats_have_the_same_shape(pat: User, form: str) -> None:
    import pyarrow
    from pyarrow import feather, ipc, parquet

    table, file = pyarrow.table({"a": [1, 2], "b": ["x", "y"]}), io.BytesIO()
    form, _, kind = form.partition(" ")
    if form == "csv.gz":
        file.write(gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0))
    elif form == "parquet":
        parquet.write_table(table, file)
    elif kind == "feather":
        feather.write_feather(table, file)
    else:
        with (ipc.new_stream if kind == "stream" else ipc.new_file)(file, table.schema) as writer:
            writer.write_table(table)
    content = file.getvalue()
    version = register_dataset(actor=actor(pat), name="d", stream=io.BytesIO(content), format=form, target="b")
    assert version.row_count == 2
    assert version.columns == [{"name": "a", "type": "integer"}, {"name": "b", "type": "string"}]


def test_a_type_is_that_of_all_rows_not_of_the_first_ones(pat: User) -> None:
    rows = b"".join(b"%d,1\n" % i for i in range(1_500_000)) + b"1.5,x\n"
    version = register_dataset(actor=actor(pat), name="d", stream=io.BytesIO(b"a,b\n" + rows), format="csv", target="a")
    assert version.columns == [{"name": "a", "type": "number"}, {"name": "b", "type": "string"}]
    assert version.row_count == 1_500_001


@pytest.mark.parametrize(
    ("content", "form", "target", "word"),
    [
        (CSV, "csv", "outcome", "age, income, owner, since, label"),
        (CSV, "xlsx", "label", "csv, csv.gz, parquet"),
        (CSV, "parquet", "label", "parquet"),
        (CSV, "csv.gz", "label", "csv.gz"),
        (CSV, "arrow", "label", "arrow"),
        (b"ARROW1", "arrow", "label", "arrow"),
        (gzip.compress(CSV * 50, mtime=0)[:-40], "csv.gz", "label", "csv.gz"),
        (b"", "csv", "label", "csv"),
        (b"a,b\n", "csv", "a", "no rows"),
        (b"a,a\n1,2\n", "csv", "a", "more than one"),
        (b"a,\n1,2\n", "csv", "a", "without a name"),
        (b"a,b\n1,2,3\n", "csv", "a", "csv"),
        (b"a,b\n1,\xff\n", "csv", "a", "csv"),
    ],
)
def test_a_file_that_is_no_data_set_is_refused_and_nothing_is_kept(
    pat: User, content: bytes, form: str, target: str, word: str
) -> None:
    with pytest.raises(Invalid, match=word):
        register_dataset(actor=actor(pat), name="d", stream=io.BytesIO(content), format=form, target=target)
    assert not DatasetVersion.objects.exists()


def test_a_closed_data_set_is_read_by_checks_only_and_stays_closed(pat: User, dana: User) -> None:
    for closed in (True, False):
        register_dataset(actor=actor(pat), name="d", stream=io.BytesIO(CSV), format="csv", target="label", closed=closed)
    assert datasets.datasets(actor(dana))[0].closed
    with pytest.raises(Denied):
        datasets.open_content(actor(dana), "d")
    with datasets.open_content(SYSTEM, "d") as file:
        assert file.read() == CSV


def test_the_content_of_a_data_set_is_not_swept_away(pat: User) -> None:
    """No file of the artifact tree names it, and it must outlive the cleaning all the same."""
    register_dataset(actor=actor(pat), name="d", stream=io.BytesIO(CSV), format="csv", target="label")
    Blob.objects.create(digest="0" * 64, size_bytes=0)
    assert collect_unreferenced(older_than=timedelta(seconds=-60)) == 1
    with datasets.open_content(actor(pat), "d") as file:
        assert file.read() == CSV


def test_content_that_is_collected_while_a_data_set_is_registered_is_stored_anew(pat: User, monkeypatch) -> None:
    digest = hashlib.sha256(CSV).hexdigest()
    Blob.objects.create(digest=digest, size_bytes=len(CSV))
    keep = type(store()).keep

    def kept_and_collected(self: object, received: object) -> None:
        keep(self, received)
        monkeypatch.undo()
        assert collect([digest]) == 1

    monkeypatch.setattr(type(store()), "keep", kept_and_collected)
    register_dataset(actor=actor(pat), name="d", stream=io.BytesIO(CSV), format="csv", target="label")
    with datasets.open_content(actor(pat), "d") as file:
        assert file.read() == CSV


def test_only_who_may_register_registers_and_an_outsider_reads_nothing(dana: User, pat: User, mallory: User) -> None:
    with pytest.raises(Denied):
        register_dataset(actor=actor(dana), name="d", stream=io.BytesIO(CSV), format="csv", target="label")
    register_dataset(actor=actor(pat), name="d", stream=io.BytesIO(CSV), format="csv", target="label")
    with pytest.raises(Denied):
        datasets.datasets(actor(mallory))
    with pytest.raises(Denied):
        datasets.open_content(actor(mallory), "d")


def test_the_web_process_does_not_load_the_libraries_of_checks() -> None:
    code = (
        "import django, sys; django.setup(); import config.urls, interfaces.mlflow.registry_views, registry.datasets;"
        "print([m for m in ('pandas', 'pyarrow', 'numpy', 'sklearn', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
