"""import_mlflow and export_mlflow, against a real MLflow server and its database."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.core.management import call_command
from django.db import transaction

from artifacts.models import ArtifactFile
from artifacts.store import store
from core.models import AuditEvent
from interfaces.moving.database import Connection, Database
from registry.models import (
    AliasAssignment,
    LineageEdge,
    ModelVersion,
    RegisteredModel,
    StageAssignment,
)
from tests import databases
from tests.cast import actor, person
from tests.interfaces.moving.conftest import make_databases
from tracking.models import (
    Experiment,
    Imported,
    LatestMetric,
    MetricPoint,
    Param,
    Run,
    RunInput,
    RunModelLink,
    RunTag,
)
from workflows.commands import catalog
from workflows.commands.imports import import_places
from workflows.models import Grandfathered


def rows(told: str) -> dict[str, tuple[int, int, str]]:
    """Return the table at the end: kind -> (there, here, what is said)."""
    found = {}
    for line in told.splitlines():
        cells = [cell.strip() for cell in line.split("  ") if cell.strip()]
        if len(cells) == 5 and cells[1].isdigit():
            found[cells[0]] = (int(cells[1]), int(cells[2]), cells[4])
    return found


def bring(run, mlflow, *more: str) -> str:
    return run("import_mlflow", "--from", mlflow.address, "--artifacts", str(mlflow.artifacts), *more)


WHOLE = {
    "experiments": (3, 3, "same"),
    "runs": (5, 5, "same"),
    "metric points": (305, 305, "same"),
    "logged models": (2, 2, "same"),
    "points of models": (1, 1, "same"),
    "models": (4, 4, "same"),
    "versions": (4, 4, "same"),
    "stages and aliases": (7, 7, "same"),
    "files": (6, 6, "same"),
}


def check_content(mlflow) -> None:
    """Look at what the comparison might overlook: what only we know how to read."""
    inner = Run.objects.get(pk=mlflow.inner)
    with sqlite3.connect(mlflow.database) as source:
        started, user = source.execute("SELECT start_time, user_id FROM runs WHERE run_uuid = ?", [mlflow.inner]).fetchone()
        born = source.execute(
            "SELECT creation_time, last_updated_time FROM registered_models WHERE name = 'credit.risk'"
        ).fetchone()
    assert (inner.start_ms, inner.user_id_text, inner.experiment.name) == (started, user, "credit")
    assert inner.artifact_uri == f"mlflow-artifacts:/{inner.experiment_id}/{mlflow.inner}/artifacts"
    assert Run.objects.get(name="deleted").lifecycle_stage == "deleted" and Param.objects.get(run__name="deleted").value == "yes"
    assert Experiment.objects.get(name="abandoned").lifecycle_stage == "deleted"
    assert Param.objects.get(run=mlflow.outer, key="note").value == "über"
    assert RunTag.objects.get(run=mlflow.inner, key="mlflow.parentRunId").value == mlflow.outer
    odd = [(p.value, p.is_nan) for p in MetricPoint.objects.filter(run=mlflow.inner, key="odd").order_by("step")]
    assert odd == [(0.0, True), (sys.float_info.max, False), (-sys.float_info.max, False)]
    assert LatestMetric.objects.get(run=mlflow.inner, key="loss").step == 299
    assert MetricPoint.objects.get(run=mlflow.inner, key="tiny").value == 0.1 + 0.2
    measured = MetricPoint.objects.get(run=mlflow.inner, key="auc")
    assert measured.model_id == mlflow.model
    assert RunInput.objects.get(run=mlflow.inner).dataset.name == "applicants"
    assert {(link.run.name, link.direction) for link in RunModelLink.objects.filter(model_id=mlflow.model)} == {
        ("inner", "output"),
        ("uses", "input"),
    }
    model = RegisteredModel.objects.get(name="credit.risk")
    assert (model.created_ms, model.updated_ms, model.description) == (*born, "Scores applicants.")
    first, second = model.versions.order_by("number")
    assert first.logged_model_id == mlflow.model and first.content_digest.startswith("sha256:")
    assert first.mlmodel["flavors"]["sklearn"] and first.files.count() == 5
    assert (second.number, second.files.get().path) == (2, "readme.txt")
    with store().open(second.files.get().digest) as file:
        assert file.read() == b"hello"
    copied = ModelVersion.objects.get(model__name="credit.copy")
    assert copied.content_digest == first.content_digest
    edges = {(e.source.kind, e.target.kind) for e in LineageEdge.objects.filter(target__key=f"model_version:{model.pk}/1")}
    assert edges == {("logged_model", "model_version")}
    assert LineageEdge.objects.filter(source__kind="dataset", target__key=f"run:{mlflow.inner}").exists()
    assert {(a.alias, a.version.number) for a in AliasAssignment.objects.filter(model=model)} == {
        ("champion", 1),
        ("challenger", 2),
    }
    assert RegisteredModel.objects.get(name="greeting").is_prompt
    assert set(AuditEvent.objects.filter(action="run.imported").values_list("subject_id", flat=True)) >= {
        mlflow.inner,
        mlflow.outer,
    }
    assert AuditEvent.objects.filter(action="version.imported").count() == 4
    assert AuditEvent.objects.filter(action="server.imported").exists()


def test_a_database_comes_over_whole_and_a_second_import_brings_only_what_is_new(mlflow, run, tmp_path) -> None:
    source = mlflow.copy(tmp_path)
    assert rows(bring(run, source)) == WHOLE
    check_content(source)
    told = bring(run, source)
    assert "runs: 0 new, 0 changed, 5 unchanged; 0 points" in told and rows(told) == WHOLE
    assert Run.objects.count() == 5 and MetricPoint.objects.count() == 305 and ModelVersion.objects.count() == 4
    source.alter(
        f"INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES ('auc', 0.9, 5, '{mlflow.inner}', 0, 0)",
        f"UPDATE params SET value = '4' WHERE run_uuid = '{mlflow.outer}' AND key = 'depth'",
        "UPDATE model_versions SET current_stage = 'Archived' WHERE name = 'credit.risk' AND version = 2",
        "DELETE FROM registered_model_aliases WHERE alias = 'challenger'",
    )
    told = bring(run, source)
    assert "runs: 0 new, 2 changed, 3 unchanged" in told and "versions: 0 new, 1 changed, 3 unchanged" in told
    assert rows(told) == WHOLE | {"metric points": (306, 306, "same"), "stages and aliases": (6, 6, "same")}
    assert LatestMetric.objects.get(run=mlflow.inner, key="auc").value == 0.81, "the latest point is the one of the greatest step"
    assert MetricPoint.objects.get(run=mlflow.inner, key="auc", step=1).model_id == mlflow.model


def test_a_running_server_comes_over_by_its_protocol(mlflow, run) -> None:
    told = run("import_mlflow", "--from", mlflow.url)
    assert rows(told) == WHOLE | {"logged models": (1, 1, "same")}
    assert "Deleted logged models are left out" in told
    check_content(mlflow)
    told = run("import_mlflow", "--from", mlflow.url)
    assert "runs: 0 new, 0 changed, 5 unchanged" in told and "artifacts: 0 new, 0 changed, 6 unchanged" in told


def test_experiments_keep_their_ids_where_these_are_free(mlflow, run, dana) -> None:
    from tracking.commands.experiments import create_experiment

    first = create_experiment(actor=actor(dana), name="of our own")
    with sqlite3.connect(mlflow.database) as source:
        there = dict(source.execute("SELECT name, experiment_id FROM experiments").fetchall())
    Experiment.objects.filter(pk=first).update(name="elsewhere")
    if first not in there.values():
        Experiment.objects.create(pk=there["credit"], name="in the way", created_ms=0, updated_ms=0)
    told = bring(run, mlflow)
    here = Experiment.objects.get(name="credit").pk
    assert here != there["credit"] and f"experiment {there['credit']} has the id {here} here" in told
    assert Run.objects.get(pk=mlflow.inner).experiment_id == here and rows(told) == WHOLE
    another = create_experiment(actor=actor(dana), name="after it")
    assert another > here, "the next id is free"


@pytest.mark.parametrize("what", ["param", "point", "content", "source"])
def test_a_copy_that_was_tampered_with_is_told_and_fails(mlflow, run, refused, tmp_path, what) -> None:
    source = mlflow.copy(tmp_path)
    assert rows(bring(run, source)) == WHOLE
    if what == "param":
        Param.objects.filter(run=mlflow.outer, key="depth").update(value="30")
    elif what == "point":
        MetricPoint.objects.filter(run=mlflow.inner, key="loss", step=7).update(value=0.5)
    elif what == "content":
        digest = ArtifactFile.objects.get(name="readme.txt").blob_id
        path = store()._path(digest)  # type: ignore[attr-defined]
        held = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(b"hallo")
    else:
        next(source.artifacts.rglob("readme.txt")).write_text("other")
    try:
        error = refused("import_mlflow", "--from", source.address, "--artifacts", str(source.artifacts), "--check")
    finally:
        if what == "content":
            path.write_bytes(held)
            path.chmod(0o444)
    kind = {"param": "runs", "point": "metric points"}.get(what, "files")
    assert error.returncode == 1 and f"1 of {kind}" in str(error)


def test_artifacts_that_cannot_be_had_are_named_and_fail_unless_allowed(mlflow, run, refused, tmp_path) -> None:
    source = mlflow.copy(tmp_path)
    next(source.artifacts.rglob("model.skops" if list(source.artifacts.rglob("model.skops")) else "model.pkl")).unlink()
    for path in sorted(source.artifacts.rglob("readme.txt")):
        path.unlink()
        path.symlink_to("/etc/hostname")
    arguments = ["import_mlflow", "--from", source.address, "--artifacts", str(source.artifacts)]
    error = refused(*arguments)
    assert error.returncode == 1 and "1 artifacts could not be had" in str(error)
    told = run(*arguments, "--allow-missing-artifacts")
    assert f"run {mlflow.inner}: notes/readme.txt: it is a link out of its folder" in told
    assert not ArtifactFile.objects.filter(name="readme.txt").exists()
    assert ModelVersion.objects.get(model__name="credit.risk", number=2).content_digest == ""


def test_what_is_refused_leaves_nothing_behind(mlflow, refused, tmp_path, dana, live_server_url, monkeypatch) -> None:
    from registry.commands import create_model
    from tracking.commands.experiments import create_experiment

    old = mlflow.copy(tmp_path)
    old.alter("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).execute("CREATE TABLE t (x)").connection.commit()
    (tmp_path / "text.db").write_text("no database at all, only text that goes on for a while")
    for source, said in (
        ("ftp://example", "A database is named by"),
        ("http://", "is no address of a server"),
        ("http://127.0.0.1:9", "cannot be reached"),
        ("sqlite:////no/such/file.db", "There is no database file"),
        ("postgresql://nobody@127.0.0.1:9/none", "cannot be reached"),
        (f"sqlite:///{empty}", "no database of an MLflow server"),
        (f"sqlite:///{tmp_path / 'text.db'}", "no database of MLflow's"),
        (old.address, "schema revision ffffffffffff, which is not known here"),
        (mlflow.address, "Name their root with --artifacts"),
    ):
        error = refused("import_mlflow", "--from", source)
        assert error.returncode == 2 and said in str(error), source
    assert "there is no folder" in str(refused("import_mlflow", "--from", mlflow.address, "--artifacts", "/no/such"))
    assert "Nothing was imported" in str(refused("import_mlflow", "--from", mlflow.url, "--check"))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "wrong")
    assert "refuses these credentials (401" in str(refused("import_mlflow", "--from", live_server_url))
    assert "no team 'nobody'" in str(refused("import_mlflow", "--from", mlflow.url, "--team", "nobody"))
    create_model(actor=actor(dana), name="credit.copy")
    error = refused("import_mlflow", "--from", mlflow.url)
    assert "registered models of the same name that did not come from" in str(error) and "credit.copy" in str(error)
    create_experiment(actor=actor(dana), name="credit")
    assert "experiments of the same name that did not come from" in str(refused("import_mlflow", "--from", mlflow.url))
    assert not Run.objects.exists() and not Imported.objects.exists() and Experiment.objects.count() == 2


@pytest.fixture
def live_server_url(live_server) -> str:
    return str(live_server.url)


def test_one_source_by_two_addresses_is_told_apart_unless_it_is_named(mlflow, run, refused) -> None:
    bring(run, mlflow)
    assert "give that address with --origin" in str(refused("import_mlflow", "--from", mlflow.url))
    told = run("import_mlflow", "--from", mlflow.url, "--origin", mlflow.address)
    assert (
        "runs: 0 new" in told
        and "logged models: 0 new" in told
        and Run.objects.count() == 5
        and MetricPoint.objects.count() == 305
    )


def test_a_team_may_write_to_what_came_over(mlflow, run) -> None:
    from core.access import Permission, explain

    tess = person("tess", groups=("scoring",))
    mallory = person("mallory")
    bring(run, mlflow, "--team", "scoring")
    experiment, model = Experiment.objects.get(name="credit"), RegisteredModel.objects.get(name="credit.risk")
    assert explain(actor(tess), Permission.EXPERIMENT_WRITE, experiment).allowed
    assert explain(actor(tess), Permission.MODEL_WRITE, model).allowed and model.owner_team.name == "scoring"
    assert not explain(actor(mallory), Permission.MODEL_READ, model).allowed


# The way out.


def test_what_went_out_and_came_back_is_the_same(mlflow, run, tmp_path) -> None:
    with transaction.atomic():
        bring(run, mlflow)
        told = run("export_mlflow", "--to", str(tmp_path / "out"))
        assert rows(told) == WHOLE and "runs: 5 written" in told
        again = run("export_mlflow", "--to", str(tmp_path / "out"))
        assert "runs: 0 written, 5 there already" in again and "artifacts: 0 written" in again
        assert AuditEvent.objects.filter(action="server.exported").count() == 2
        before = list(ModelVersion.objects.order_by("model__name", "number").values_list("content_digest", flat=True))
        transaction.set_rollback(True)
    assert not Run.objects.exists()
    assert rows(run("import_mlflow", "--from", str(tmp_path / "out"))) == WHOLE
    assert list(ModelVersion.objects.order_by("model__name", "number").values_list("content_digest", flat=True)) == before
    assert rows(run("export_mlflow", "--to", str(tmp_path / "out"), "--check")) == WHOLE


def test_a_database_that_mlflow_made_takes_it_and_reads_it_by_its_own_client(mlflow, run, refused, made, tmp_path) -> None:
    bring(run, mlflow)
    target = f"sqlite:///{made[0]}"
    told = run("export_mlflow", "--to", target, "--artifacts", str(tmp_path / "files"))
    assert rows(told) == WHOLE
    look = (
        "import sys; from mlflow import MlflowClient; c = MlflowClient(sys.argv[1]);"
        "v = c.get_model_version_by_alias('credit.risk', 'champion'); r = c.get_run(v.run_id);"
        "print(v.version, v.current_stage, r.data.metrics['tiny'], len(c.get_metric_history(v.run_id, 'loss')),"
        "c.get_logged_model(sys.argv[2]).name, r.info.run_name)"
    )
    read = subprocess.run([sys.executable, "-c", look, target, mlflow.model], check=True, capture_output=True, text=True)
    assert read.stdout.split() == ["1", "Production", "0.30000000000000004", "300", "scorecard", "inner"]
    with sqlite3.connect(made[0]) as there:
        there.execute("UPDATE params SET value = '31' WHERE key = 'depth'")
    error = refused("export_mlflow", "--to", target, "--artifacts", str(tmp_path / "files"), "--check")
    assert error.returncode == 1 and "1 of runs" in str(error)
    assert rows(run("export_mlflow", "--to", target, "--artifacts", str(tmp_path / "files"))) == WHOLE, "put right"
    with sqlite3.connect(made[0]) as there:
        there.execute("UPDATE experiments SET name = 'another' WHERE name = 'credit'")
    assert "that is not ours" in str(refused("export_mlflow", "--to", target, "--artifacts", str(tmp_path / "f")))
    assert "Give its database instead" in str(refused("export_mlflow", "--to", mlflow.url))
    assert "Say where the artifacts go" in str(refused("export_mlflow", "--to", target))


@pytest.mark.skipif("DATABASE_URL" not in os.environ, reason="needs a PostgreSQL server")
def test_postgresql_is_written_and_read_as_sqlite_is(mlflow, run, tmp_path) -> None:
    with postgresql() as address:
        driver = address.replace("postgresql://", "postgresql+psycopg://")
        make_databases(**{driver: "head"})
        with transaction.atomic():
            bring(run, mlflow)
            assert rows(run("export_mlflow", "--to", address, "--artifacts", str(tmp_path))) == WHOLE
            transaction.set_rollback(True)
        told = run("import_mlflow", "--from", driver, "--artifacts", str(tmp_path))
        assert rows(told) == WHOLE and ":***" not in told
        check_content(mlflow)


class postgresql:
    """A database of its own on the server the tests run on."""

    def __enter__(self) -> str:
        parts = urlsplit(os.environ["DATABASE_URL"])
        self.name = f"moving_{os.getpid()}_{time.monotonic_ns()}"
        self.admin = urlunsplit(parts._replace(path="/postgres"))
        with psycopg.connect(self.admin, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {self.name}")
        return urlunsplit(parts._replace(path=f"/{self.name}"))

    def __exit__(self, *_: object) -> None:
        with psycopg.connect(self.admin, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {self.name} WITH (FORCE)")


# Ended in the middle.


@pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="the same as in the run on SQLite")
def test_an_import_that_is_killed_goes_on_where_it_stood(mlflow, tmp_path) -> None:
    source = mlflow.copy(tmp_path)
    with sqlite3.connect(source.database) as held:
        for number in range(3000):
            run_id = f"{number:032x}"
            held.execute(
                "INSERT INTO runs (run_uuid, name, status, start_time, lifecycle_stage, artifact_uri, experiment_id)"
                " VALUES (?, ?, 'FINISHED', 1, 'active', ?, 1)",
                [run_id, f"n{number}", f"mlflow-artifacts:/1/{run_id}/artifacts"],
            )
            held.executemany(
                "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES ('m', ?, 1, ?, ?, 0)",
                [(step / 7, run_id, step) for step in range(5)],
            )
    home = tmp_path / "home"
    databases.fill(home)
    environment = {**os.environ, "COUNTERSIGN_HOME": str(home), "DATABASE_URL": "", "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "manage.py", "import_mlflow", "--from", source.address, "--artifacts", str(source.artifacts)]
    database = home / "countersign.sqlite3"

    def count(table: str) -> int:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as held:
            return int(held.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])

    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while count("tracking_run") < 500 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 500 <= count("tracking_run") < 3005 and count("registry_modelversion") == 0
    told = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    found = rows(told.stdout)
    assert found["runs"] == (3005, 3005, "same") and found["metric points"] == (15_305, 15_305, "same")
    assert "runs: 3005 new" not in told.stdout and count("tracking_metricpoint") == 15_305
    assert count("core_auditevent WHERE action = 'run.imported'") == 3005, "each run has its event once"


# What holds a governed place.


def test_what_held_a_governed_place_is_grandfathered_and_says_so(mlflow, run, policy_file, binding_file, aude, pat) -> None:
    call_command("publish_policy", str(policy_file))
    call_command("bind_policy", str(binding_file))
    told = bring(run, mlflow)
    assert "1 hold a governed place" in told and "credit.risk v1 holds stage Production, governed by has-reviewers v1" in told
    row = Grandfathered.objects.get()
    assert (row.target_kind, row.target, row.origin, row.policies) == (
        "stage",
        "Production",
        mlflow.address,
        ["has-reviewers v1"],
    )
    assert row.imported_by.startswith("os:")
    event = AuditEvent.objects.get(action="place.grandfathered")
    assert event.subject_id == "credit.risk/1"
    assert StageAssignment.objects.get(version=row.version, valid_to__isnull=True).request_id is None
    assert "runs: 0 new" in bring(run, mlflow) and Grandfathered.objects.count() == 1


def test_a_place_that_was_moved_here_stays_and_is_no_difference(mlflow, run, tmp_path) -> None:
    source = mlflow.copy(tmp_path)
    bring(run, source)
    model = RegisteredModel.objects.get(name="credit.risk")
    dana = person("dana", "data-scientist")
    from core import access

    access.grant(model, "model_manage", users=[dana.pk])
    catalog.transition_stage(actor=actor(dana), model_name="credit.risk", version=1, stage="Archived")
    catalog.set_alias(actor=actor(dana), model_name="credit.risk", alias="champion", version=2)
    source.alter("UPDATE model_versions SET current_stage = 'Staging' WHERE name = 'credit.risk' AND version = 1")
    told = bring(run, source)
    assert "stage of credit.risk/1: Staging there, Archived here" in told and "credit.risk@champion: 1 there, 2 here" in told
    assert rows(told) == WHOLE
    assert StageAssignment.objects.get(version__model=model, version__number=1, valid_to__isnull=True).stage_id == "Archived"


def test_only_a_platform_admin_may_import(mlflow, run, dana, pat) -> None:
    from core.errors import Denied
    from tracking.import_commands import begin_import
    from tracking.moving import runs

    bring(run, mlflow)
    origin = begin_import(actor=actor(pat), origin=mlflow.address, experiment_names={})
    places = {"origin": origin, "model_name": "credit.risk", "stages": {}, "aliases": {}}
    with pytest.raises(Denied):
        begin_import(actor=actor(dana), origin="x", experiment_names={})
    with pytest.raises(Denied):
        import_places(actor=actor(dana), **places)
    with pytest.raises(Denied):
        runs(actor(dana), [mlflow.inner])
    assert import_places(actor=actor(pat), **places).given == 2, "the source has the aliases no longer"


def test_a_database_of_an_older_server_is_read(made) -> None:
    """Without logged models, steps of outputs and workspaces, as before MLflow 3."""
    with sqlite3.connect(made[1]) as held:
        held.execute("INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (0, 'Default', 'active')")
        held.execute("INSERT INTO runs (run_uuid, experiment_id, lifecycle_stage, status) VALUES ('a', 0, 'active', 'FINISHED')")
    source = Database(Connection(f"sqlite:///{made[1]}"))
    assert [run.id for batch in source.runs() for run in batch] == ["a"] and list(source.logged_models()) == []
    assert source.counts() == {"experiments": 1, "runs": 1, "models": 0, "versions": 0}
    source.close()
