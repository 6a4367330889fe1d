from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from core import canonical, sql
from core.access import Actor, Permission, explain
from core.errors import AlreadyExists, Conflict, Denied, Invalid, NotFound
from core.models import AuditEvent, User
from registry import commands, history, lineage, placement, queries
from registry.models import LineageNode, ModelVersion, ModelVersionFile, RegisteredModel, StageAssignment
from tests.cast import actor, person
from tests.registry.conftest import Training, put
from tracking.models import LoggedModelTag


def events(action: str) -> list[dict[str, object]]:
    return [json.loads(event.body) for event in AuditEvent.objects.filter(action=action).order_by("pk")]


def s3(who: Actor, name: str = "credit", **given: object) -> ModelVersion:
    return commands.register_version(actor=who, model_name=name, source="s3://bucket/model", **given)  # type: ignore[arg-type]


def test_its_creator_manages_a_model_and_the_owner_team_writes_to_it(someone: Actor, mallory: User) -> None:
    Group.objects.create(name="risk")
    teammate = actor(person("tess", groups=("risk",)))
    model = commands.create_model(actor=someone, name="credit", tags={"a": "1"}, owner_team="risk", risk_tier="high")
    assert explain(someone, Permission.MODEL_MANAGE, model).allowed
    assert explain(teammate, Permission.MODEL_WRITE, model).allowed
    assert not explain(teammate, Permission.MODEL_MANAGE, model).allowed
    assert not explain(actor(mallory), Permission.MODEL_READ, model).allowed
    (event,) = events("model.created")
    assert event["scope"] == f"model:{model.pk}" and event["subject"] == {"type": "model", "id": "credit"}
    assert event["after"]["owner_team"] == "risk"  # type: ignore[index]


def test_a_model_cannot_be_created_without_the_right_or_under_a_taken_name(
    credit: RegisteredModel, someone: Actor, mallory: User
) -> None:
    with pytest.raises(Denied):
        commands.create_model(actor=actor(mallory), name="other")
    with pytest.raises(AlreadyExists):
        commands.create_model(actor=someone, name="credit")
    assert RegisteredModel.objects.count() == 1
    assert len(events("model.created")) == 1


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a:b", ".", "..", "x" * 257, "a\x00b"])
def test_a_bad_name_is_refused(someone: Actor, name: str) -> None:
    with pytest.raises(Invalid):
        commands.create_model(actor=someone, name=name)


def test_another_team_takes_over_the_right_to_write(credit: RegisteredModel, someone: Actor) -> None:
    for name in ("risk", "fraud"):
        Group.objects.create(name=name)
    tess, finn = actor(person("tess", groups=("risk",))), actor(person("finn", groups=("fraud",)))
    commands.update_model(actor=someone, name="credit", owner_team="risk")
    assert explain(tess, Permission.MODEL_WRITE, credit).allowed
    with pytest.raises(Denied):
        commands.update_model(actor=tess, name="credit", risk_tier="low")
    commands.update_model(actor=tess, name="credit", description="by the team")
    commands.update_model(actor=someone, name="credit", owner_team="fraud", risk_tier="high")
    assert not explain(tess, Permission.MODEL_WRITE, credit).allowed
    assert explain(finn, Permission.MODEL_WRITE, credit).allowed
    assert events("model.updated")[-1]["before"] == {"owner_team": "risk", "risk_tier": "medium"}


def test_numbers_are_never_used_twice_not_even_after_deleting_the_newest(credit: RegisteredModel, someone: Actor) -> None:
    assert [s3(someone).number for _ in range(2)] == [1, 2]
    commands.delete_version(actor=someone, model_name="credit", number=2)
    assert s3(someone).number == 3
    with pytest.raises(NotFound):
        commands.delete_version(actor=someone, model_name="credit", number=2)


@pytest.mark.django_db(transaction=True)
def test_versions_registered_at_the_same_time_get_different_numbers(credit: RegisteredModel, someone: Actor) -> None:
    def register(_: int) -> int:
        try:
            return s3(someone).number
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(register, range(24)))
    assert sorted(numbers) == list(range(1, 25))


def test_a_version_has_the_manifest_of_its_files_and_a_digest_that_does_not_depend_on_their_order(
    credit: RegisteredModel, training: Training
) -> None:
    training.upload(**{"b.txt": b"two", "a.txt": b"one"})
    first = training.register()
    assert list(ModelVersionFile.objects.filter(version=first).order_by("path").values_list("path", "size_bytes")) == [
        ("a.txt", 3),
        ("b.txt", 3),
    ]
    assert first.size_bytes == 6
    lines = [
        {"path": n, "sha256": hashlib.sha256(c).hexdigest(), "size_bytes": 3} for n, c in (("a.txt", b"one"), ("b.txt", b"two"))
    ]
    assert first.content_digest == canonical.digest({"files": lines})
    again = Training(training.who, training.experiment, "b" * 32)
    again.upload(**{"a.txt": b"one", "b.txt": b"two"})
    assert again.register().content_digest == first.content_digest
    other = Training(training.who, training.experiment, "c" * 32)
    other.upload(**{"a.txt": b"one", "b.txt": b"TWO"})
    assert other.register().content_digest != first.content_digest


def test_the_files_of_a_version_can_no_longer_change_until_it_is_deleted(credit: RegisteredModel, training: Training) -> None:
    training.upload()
    training.register()
    with pytest.raises(Conflict):
        put(training.who, f"{training.folder}/MLmodel", b"other")
    with pytest.raises(Conflict):
        put(training.who, f"{training.folder}/new/file", b"more")
    training.register()  # a second version relies on the same files
    commands.delete_version(actor=training.who, model_name="credit", number=1)
    with pytest.raises(Conflict):
        put(training.who, f"{training.folder}/MLmodel", b"other")
    commands.delete_model(actor=training.who, name="credit")
    put(training.who, f"{training.folder}/MLmodel", b"other")


def test_an_empty_folder_gives_no_digest_and_stays_free(credit: RegisteredModel, training: Training) -> None:
    version = training.register()
    assert version.content_digest == "" and version.mlmodel == {}
    training.upload()


def test_what_the_mlmodel_file_says_is_kept_as_json(credit: RegisteredModel, training: Training) -> None:
    training.upload()
    version = ModelVersion.objects.get(pk=training.register().pk)
    assert version.mlmodel["flavors"]["sklearn"]["sklearn_version"] == "1.5.0"
    assert version.mlmodel["utc_time_created"] == "2026-03-01 10:00:00"


@pytest.mark.parametrize(
    "content", [b"- just\n- a list", b"a: [", b"\xff\xfe", b"a: !!python/object/apply:os.system [ls]", b"x" * (1024 * 1024 + 1)]
)
def test_an_mlmodel_file_that_cannot_be_read_is_said_to_be_so(
    credit: RegisteredModel, training: Training, content: bytes
) -> None:
    training.upload(MLmodel=content)
    assert list(training.register().mlmodel) == ["unreadable"]


def test_a_small_mlmodel_file_that_stands_for_a_huge_one_is_not_unfolded(credit: RegisteredModel, training: Training) -> None:
    bomb = b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n".encode() for i in range(1, 12)
    )
    training.upload(MLmodel=bomb)
    assert "more than 50000 values" in training.register().mlmodel["unreadable"]


def test_registering_draws_the_lineage_from_data_to_version(credit: RegisteredModel, training: Training) -> None:
    training.upload()
    training.used(train="d1", holdout="d2")
    training.tagged(mlflow_source_name="train.py", mlflow_source_git_commit="abc123")
    version = training.register()
    graph = lineage.walk(training.who, "model_version:credit/1", direction=lineage.Direction.UPSTREAM)
    registered_at = StageAssignment.objects.get(version__number=1).valid_from
    assert {edge.valid_from for edge in graph.edges} == {registered_at}
    assert {(edge.source.split(":")[0], edge.kind, edge.target.split(":")[0]) for edge in graph.edges} == {
        ("dataset", "used", "run"),
        ("code", "used", "run"),
        ("environment", "used", "run"),
        ("run", "produced", "logged_model"),
        ("logged_model", "registered_as", "model_version"),
    }
    assert sum(node.kind == "dataset" for node in graph.nodes) == 2
    assert version.run_id == training.run.pk
    assert json.loads(LoggedModelTag.objects.get(key=commands.MODEL_VERSIONS_TAG).value) == [{"name": "credit", "version": 1}]
    training.register()
    assert [entry["version"] for entry in json.loads(LoggedModelTag.objects.get(key=commands.MODEL_VERSIONS_TAG).value)] == [1, 2]


@pytest.mark.parametrize("tagged", ["no json", "5", "[" * 10_000])
def test_a_list_of_versions_that_a_client_spoilt_begins_anew(credit: RegisteredModel, training: Training, tagged: str) -> None:
    LoggedModelTag.objects.create(model=training.logged, key=commands.MODEL_VERSIONS_TAG, value=tagged)
    training.register()
    assert json.loads(LoggedModelTag.objects.get(key=commands.MODEL_VERSIONS_TAG).value) == [{"name": "credit", "version": 1}]


def test_a_reader_of_the_model_does_not_see_the_experiment_in_its_lineage(
    credit: RegisteredModel, training: Training, mallory: User
) -> None:
    from core.access import grant

    training.upload()
    training.register()
    grant(credit, "model_read", users=[mallory.pk])
    graph = lineage.walk(actor(mallory), "model_version:credit/1", direction=lineage.Direction.UPSTREAM)
    assert {node.kind for node in graph.nodes} == {"model_version", "environment"}
    assert graph.hidden == 2


def test_registering_takes_the_same_number_of_statements_however_much_the_run_used(
    credit: RegisteredModel, training: Training
) -> None:
    training.upload()
    training.used(one="d1")
    with CaptureQueriesContext(connection) as few:
        training.register()
    other = Training(training.who, training.experiment, "b" * 32)
    other.upload(**{f"file{i}.txt": b"x%d" % i for i in range(40)}, MLmodel=b"flavors: {}", **{"requirements.txt": b"a"})
    other.used(**{f"data{i}": f"d{i}" for i in range(60)})
    with CaptureQueriesContext(connection) as many:
        other.register()
    assert len(many) == len(few)
    assert len(many) <= (12 if sql.is_postgresql() else 16)


def test_a_source_that_the_actor_may_not_read_cannot_be_registered(credit: RegisteredModel, training: Training) -> None:
    """Else a version would let its author, and all readers of the model, read another's files."""
    training.upload()
    rita = actor(person("rita", "data-scientist"))
    commands.create_model(actor=rita, name="stolen")
    commands.register_version(
        actor=training.who, model_name="credit", source=training.run.artifact_uri + "/x", run_id=training.run.pk
    )
    for source, given in (
        (training.run.artifact_uri, {"run_id": training.run.pk}),
        (training.logged.artifact_uri, {"logged_model_id": training.logged.pk}),
        (f"models:/{training.logged.pk}", {"logged_model_id": training.logged.pk}),
        ("models:/credit/1", {}),
    ):
        with pytest.raises((Invalid, NotFound)):
            commands.register_version(actor=rita, model_name="stolen", source=source, **given)  # type: ignore[arg-type]
    blind = commands.register_version(
        actor=rita, model_name="stolen", source=f"runs:/{training.run.pk}/model", run_id=training.run.pk
    )
    assert blind.content_digest == "" and not blind.storage_location.startswith("mlflow-artifacts:")


@pytest.mark.parametrize(
    "source",
    [
        "/etc/passwd",
        "file:///etc",
        "relative/path",
        "C:/models",
        "s3://b/../x",
        "s3://b/%2e%2e/x",
        "s3://b/%252e%252e/x",
        "s3://b/x%00",
        "http://10.0.0.1/model",
        "https://h/api/2.0/mlflow-artifacts/artifacts/0/x",
        "ftp://h/x",
        "mlflow-artifacts://elsewhere:80/0/x",
        "mlflow-artifacts:/0/x",
        "runs:/" + "0" * 32 + "/model",
        "models:/m-" + "0" * 32,
        "models:/",
        "s3://" + "x" * 3000,
    ],
)
def test_a_source_that_leads_elsewhere_is_refused(credit: RegisteredModel, someone: Actor, source: str) -> None:
    with pytest.raises(Invalid):
        commands.register_version(actor=someone, model_name="credit", source=source)
    assert not ModelVersion.objects.exists()


def test_a_folder_next_to_the_runs_own_is_not_below_it(credit: RegisteredModel, training: Training) -> None:
    with pytest.raises(Invalid):
        commands.register_version(
            actor=training.who, model_name="credit", source=training.run.artifact_uri + "-other/model", run_id=training.run.pk
        )


def test_a_copy_has_the_content_run_and_lineage_of_its_origin(credit: RegisteredModel, training: Training) -> None:
    training.upload()
    origin = training.register()
    commands.create_model(actor=training.who, name="copy")
    with pytest.raises(Invalid):
        commands.register_version(actor=training.who, model_name="copy", source="models:/credit/1", run_id="f" * 32)
    copy = commands.register_version(actor=training.who, model_name="copy", source="models:/credit/latest")
    assert copy.source == "models:/credit/1"
    assert (copy.content_digest, copy.run_id, copy.storage_location) == (
        origin.content_digest,
        origin.run_id,
        origin.storage_location,
    )
    graph = lineage.walk(training.who, "model_version:copy/1", direction=lineage.Direction.UPSTREAM)
    assert f"model_version:{credit.pk}/1" in {node.key for node in graph.nodes}


def test_deleting_ends_where_a_version_stood_and_keeps_that_it_stood_there(credit: RegisteredModel, someone: Actor) -> None:
    version = s3(someone)
    with transaction.atomic():
        placement.assign_stage(version, "Production", actor=someone)
        placement.assign_alias(credit, "champion", version, actor=someone)
    commands.delete_version(actor=someone, model_name="credit", number=1)
    assert not StageAssignment.objects.filter(valid_to__isnull=True).exists()
    assert [period.place for period in history.stage_history(someone, "credit")] == ["Production", "None"]
    assert [period.place for period in history.alias_history(someone, "credit")] == ["champion"]
    assert LineageNode.objects.get(key=f"model_version:{credit.pk}/1").tombstoned_at is not None
    assert events("version.deleted")[0]["before"] == {"stages": ["Production"], "aliases": ["champion"]}


def test_a_deleted_models_name_is_free_and_its_numbers_begin_again(credit: RegisteredModel, someone: Actor) -> None:
    s3(someone)
    commands.delete_model(actor=someone, name="credit")
    with pytest.raises(NotFound):
        queries.model(someone, "credit")
    assert history.stage_history(someone, "credit")
    commands.create_model(actor=someone, name="credit")
    assert s3(someone).number == 1


def test_renaming_takes_versions_and_lineage_along(credit: RegisteredModel, someone: Actor) -> None:
    s3(someone)
    commands.create_model(actor=someone, name="taken")
    with pytest.raises(AlreadyExists):
        commands.rename_model(actor=someone, name="credit", new_name="taken")
    commands.rename_model(actor=someone, name="credit", new_name="loans")
    assert queries.version(someone, "loans", 1).model.name == "loans"
    (node,) = lineage.walk(someone, "model_version:loans/1").nodes
    assert node.label == "loans v1" and node.attributes["model"] == "loans"
    assert events("model.renamed")[0]["before"] == {"name": "credit"}


def test_tags_are_set_over_and_removed_with_an_event_each(credit: RegisteredModel, someone: Actor) -> None:
    s3(someone, tags=[("a", "1"), ("a", "2")])
    assert queries.version_summaries([queries.version(someone, "credit", 1)])[0].tags == {"a": "2"}
    commands.set_version_tag(actor=someone, model_name="credit", number="01", key="a", value="3")
    commands.delete_version_tag(actor=someone, model_name="credit", number=1, key="a")
    commands.delete_version_tag(actor=someone, model_name="credit", number=1, key="a")
    assert len(events("version.tagged")) == 2
    commands.set_model_tag(actor=someone, name="credit", key="mlflow.prompt.is_prompt", value="true")
    assert RegisteredModel.objects.get().is_prompt
    commands.delete_model_tag(actor=someone, name="credit", key="mlflow.prompt.is_prompt")
    assert not RegisteredModel.objects.get().is_prompt
    with pytest.raises(Invalid):
        commands.set_model_tag(actor=someone, name="credit", key="k" * 251, value="")
    with pytest.raises(Invalid):
        commands.set_model_tag(actor=someone, name="credit", key="k", value="v" * 100_001)


def test_an_outsider_finds_nothing_and_a_reader_changes_nothing(
    credit: RegisteredModel, someone: Actor, mallory: User, ravi: User
) -> None:
    s3(someone)
    for who, refusal in ((mallory, NotFound), (ravi, Denied)):
        for attempt in (
            lambda a: commands.update_model(actor=a, name="credit", description="x"),
            lambda a: commands.rename_model(actor=a, name="credit", new_name="x"),
            lambda a: commands.delete_model(actor=a, name="credit"),
            lambda a: commands.set_model_tag(actor=a, name="credit", key="k", value="v"),
            lambda a: commands.delete_model_tag(actor=a, name="credit", key="k"),
            lambda a: commands.register_version(actor=a, model_name="credit", source="s3://b/x"),
            lambda a: commands.update_version(actor=a, model_name="credit", number=1, description="x"),
            lambda a: commands.delete_version(actor=a, model_name="credit", number=1),
            lambda a: commands.set_version_tag(actor=a, model_name="credit", number=1, key="k", value="v"),
            lambda a: commands.delete_version_tag(actor=a, model_name="credit", number=1, key="k"),
        ):
            with pytest.raises(refusal):
                attempt(actor(who))
    assert ModelVersion.objects.get().number == 1 and not events("model.updated")
