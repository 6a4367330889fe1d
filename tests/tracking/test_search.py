"""Searches find what the filter says, and nothing of others."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import sql
from core.errors import Invalid
from tests.cast import actor
from tests.plans import explained, most_rows
from tracking import logged_models, search
from tracking.commands import experiments, lineage, run_data
from tracking.commands import runs as run_commands
from tracking.commands.lineage import DatasetInput
from tracking.points import MetricPoint


@pytest.fixture
def runs(dana):
    who = actor(dana)
    experiment = experiments.create_experiment(actor=who, name="e")
    spec = [
        ("r0", 100, {"acc": 0.5}, {"model": "tree"}, {"env": "dev"}),
        ("r1", 300, {"acc": 0.9}, {"model": "forest"}, {"env": "prod"}),
        ("r2", 200, {"acc": 0.7}, {"model": "Tree"}, {"env": "Prod"}),
        ("r3", 400, {"acc": float("nan")}, {"model": "linear"}, {}),
        ("r4", 500, {}, {}, {"env": "50%*[x]"}),
    ]
    for name, start, metrics, params, tags in spec:
        run_id = run_commands.create_run(actor=who, experiment_id=experiment, name=name, start_ms=start, tags=tags).run_id
        run_data.log_batch(
            actor=who,
            run_id=run_id,
            metrics=[MetricPoint(k, v, 1) for k, v in metrics.items()],
            params=list(params.items()),
        )
        if name == "r1":
            dataset = DatasetInput("iris", "abc", tags=[("mlflow.data.context", "train")])
            lineage.log_inputs(actor=who, run_id=run_id, datasets=[dataset])
            run_commands.update_run(actor=who, run_id=run_id, end_ms=900, status="FINISHED")

    def find(filter_text: str = "", order_by: list[str] | None = None, **more) -> str:
        found = search.runs(
            who, experiment_ids=[experiment], filter_text=filter_text, order_by=order_by, limit=more.pop("limit", 9), **more
        )
        return " ".join(record.name for record in found)

    find.experiment = experiment
    return find


@pytest.mark.parametrize(
    ("filter_text", "names"),
    [
        ("", "r4 r3 r1 r2 r0"),
        ("metrics.acc > 0.6", "r1 r2"),
        ("metrics.acc != 0.5", "r3 r1 r2"),
        ("metrics.acc >= 0", "r1 r2 r0"),
        ("params.model LIKE 'T%'", "r2"),
        ("params.model ILIKE 'tr__'", "r2 r0"),
        ("params.model != 'tree'", "r3 r1 r2"),
        ("tags.env LIKE '50%'", "r4"),
        ("tags.env LIKE '%*[x]'", "r4"),
        ("tags.env LIKE '5_%[%'", "r4"),
        ("tags.env IS NULL", "r3"),
        ("tags.env IS NOT NULL AND start_time < 300", "r2 r0"),
        ("status = 'FINISHED'", "r1"),
        ("end_time > 0", "r1"),
        ("dataset.name = 'iris' AND datasets.digest LIKE 'a%'", "r1"),
        ("dataset.context = 'train'", "r1"),
        ("dataset.context IN ('test', 'eval')", ""),
        ("run_name LIKE 'r%' AND tags.`mlflow.runName` = 'r0'", "r0"),
    ],
)
def test_filters_find_runs(runs, filter_text: str, names: str) -> None:
    assert runs(filter_text) == names


@pytest.mark.parametrize(
    ("order_by", "names"),
    [
        (["metrics.acc DESC"], "r1 r2 r0 r3 r4"),
        (["metrics.acc ASC"], "r0 r2 r1 r3 r4"),
        (["params.model"], "r2 r1 r3 r0 r4"),
        (["params.model DESC"], "r0 r3 r1 r2 r4"),
        (["end_time"], "r1 r4 r3 r2 r0"),
        (["attributes.start_time ASC"], "r0 r2 r1 r3 r4"),
        (["tags.env", "run_name DESC"], "r4 r2 r0 r1 r3"),
    ],
)
def test_what_is_missing_sorts_last_in_both_directions(runs, order_by: list[str], names: str) -> None:
    assert runs(order_by=order_by) == names


@pytest.mark.parametrize(
    ("filter_text", "order_by", "names"),
    [
        ("metrics.acc > 0.6", ["metrics.acc ASC"], "r2 r1"),
        ("metrics.acc > 0.6", ["metrics.acc DESC"], "r1 r2"),
        ("metrics.acc > 0.4 AND metrics.acc < 0.8", ["metrics.acc DESC"], "r2 r0"),
        ("metrics.acc != 0.5", ["metrics.acc DESC"], "r1 r2 r3"),
        ("metrics.acc != 0.5", ["metrics.acc ASC"], "r2 r1 r3"),
        ("metrics.acc != 0.5 AND metrics.acc <= 0.9", ["metrics.acc"], "r2 r1"),
        ("metrics.acc > 0.4 AND tags.env ILIKE '%prod'", ["run_name DESC", "metrics.acc"], "r2 r1"),
        ("metrics.acc > 0.4", ["metrics.other", "metrics.acc DESC"], "r1 r2 r0"),
    ],
)
def test_a_filter_and_an_order_may_speak_of_one_metric(runs, filter_text: str, order_by: list[str], names: str) -> None:
    assert runs(filter_text, order_by) == names


def test_pages_do_not_overlap(runs) -> None:
    assert [runs(limit=2, offset=at) for at in (0, 2, 4)] == ["r4 r3", "r1 r2", "r0"]


def test_others_find_nothing(runs, mallory, ravi) -> None:
    def count(user) -> int:
        return len(search.runs(actor(user), experiment_ids=[runs.experiment], limit=9))

    assert (count(mallory), count(ravi)) == (0, 5)
    names = [e.name for e in search.experiments(actor(mallory), limit=9)]
    assert "e" not in names
    assert "e" in [e.name for e in search.experiments(actor(ravi), limit=9)]


def test_experiments_are_found_by_name_tag_and_id(dana) -> None:
    who = actor(dana)
    ids = [experiments.create_experiment(actor=who, name=n, tags={"team": n[0]}) for n in ("alpha", "Beta", "almond")]

    def find(filter_text: str, **more) -> list[str]:
        found = search.experiments(who, filter_text=filter_text, limit=9, order_by=["name"], **more)
        return [e.name for e in found if e.experiment_id]

    assert find("name LIKE 'al%'") == ["almond", "alpha"]
    assert find("name ILIKE 'b%'") == ["Beta"]
    assert find("tags.team = 'a' AND name != 'alpha'") == ["almond"]
    assert find(f"experiment_id IN ('{ids[0]}')") == ["alpha"]
    experiments.delete_experiment(actor=who, experiment_id=ids[0])
    assert find("tags.team = 'a'") == ["almond"]
    assert find("tags.team = 'a'", view="DELETED_ONLY") == ["alpha"]
    with pytest.raises(Invalid):
        find("metrics.a > 1")


def test_logged_models_are_found_by_their_metrics(dana) -> None:
    who = actor(dana)
    experiment = experiments.create_experiment(actor=who, name="e")
    run_id = run_commands.create_run(actor=who, experiment_id=experiment).run_id
    for name, kind, accuracy in (("a1", "cls", 0.1), ("a2", "reg", 0.9), ("b1", "cls", 0.5)):
        model_id = logged_models.create_logged_model(actor=who, experiment_id=experiment, name=name, model_type=kind)
        points = [
            MetricPoint("acc", accuracy, 1, 0, model_id, "d", "1"),
            MetricPoint("acc", accuracy / 2, 0, 0, model_id, "e", "1"),
        ]
        run_data.log_batch(actor=who, run_id=run_id, metrics=points)
    logged_models.create_logged_model(actor=who, experiment_id=experiment, name="none")

    def find(filter_text: str = "", order_by=(), **more) -> list[str]:
        found = search.logged_models(
            who, experiment_ids=[experiment], filter_text=filter_text, order_by=order_by, limit=9, **more
        )
        return [record.name for record in found]

    by_accuracy = [search.ModelOrder("metrics.acc", ascending=False)]
    assert find("metrics.acc > 0.4", by_accuracy) == ["a2", "b1"]
    assert find("metrics.acc > 0.4", by_accuracy, datasets=[("e", None)]) == ["a2"]
    assert find("", by_accuracy) == ["a2", "b1", "a1", "none"]
    assert find("model_type = 'cls' AND name LIKE 'b%'") == ["b1"]
    with pytest.raises(Invalid):
        find("metrics.acc LIKE 'a'")
    with pytest.raises(Invalid):
        find("", [search.ModelOrder("nope")])


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="asks PostgreSQL how it reads")
def test_a_page_of_ten_thousand_runs_is_found_without_reading_them_all(dana) -> None:
    """The value of a parameter that a quarter of them have, and a metric: rows are looked at in their order until the page is full."""
    who = actor(dana)
    experiment = experiments.create_experiment(actor=who, name="many")
    run_id = run_commands.create_run(actor=who, experiment_id=experiment).run_id
    row = sql.fetch_one("SELECT * FROM tracking_run WHERE id = %s", [run_id])
    with connection.cursor() as cursor:
        names = [column.name for column in connection.introspection.get_table_description(cursor, "tracking_run")]
        assert row is not None and len(names) == len(row)
        copied = ", ".join({"id": "md5(n::text)", "start_ms": "n"}.get(name, f"r.{name}") for name in names)
        cursor.execute(
            f"INSERT INTO tracking_run ({', '.join(names)}) SELECT {copied} FROM tracking_run r, generate_series(1, 10000) n", []
        )
        cursor.execute(
            "INSERT INTO tracking_param (run_id, key, value) SELECT md5(n::text), 'p' || k, 'v' || (n % 4 + k)"
            " FROM generate_series(1, 10000) n, generate_series(1, 10) k"
        )
        cursor.execute(
            "INSERT INTO tracking_latestmetric (run_id, key, timestamp_ms, step, value, is_nan, model_id, dataset_name, dataset_digest)"
            " SELECT md5(n::text), 'm' || k, 1, 0, n % 100 / 100.0, false, '', '', ''"
            " FROM generate_series(1, 10000) n, generate_series(1, 5) k"
        )
        cursor.execute("ANALYZE")
        cursor.execute("SET LOCAL random_page_cost = 1.1")  # that of a disk without moving parts
        with CaptureQueriesContext(connection) as captured:
            found = search.runs(who, experiment_ids=[experiment], filter_text="params.p3 = 'v4' AND metrics.m2 > 0.5", limit=100)
        assert len(found) == 100
    plan = explained(captured[0]["sql"])
    assert most_rows(plan) < 2_000, json.dumps(plan, indent=1)


def test_a_metric_may_be_compared_with_more_than_an_integer_holds() -> None:
    bound = "1" + "0" * 21
    for grammar in (search.RUNS, search.LOGGED_MODELS):
        assert [clause.value for clause in grammar.clauses(f"metrics.acc < {bound} AND metrics.acc > -{bound}")] == [1e21, -1e21]
        with pytest.raises(Invalid):
            grammar.clauses(f"metrics.acc < {'9' * 101}")
    with pytest.raises(Invalid):
        search.RUNS.clauses(f"start_time < {bound}")


def test_ids_of_experiments_are_whole_numbers(dana) -> None:
    for wrong in ("experiment_id = 'abc'", "experiment_id NOT IN ('1', 'abc')"):
        with pytest.raises(Invalid, match="whole number"):
            search.experiments(actor(dana), filter_text=wrong, limit=1)
    assert search.experiments(actor(dana), filter_text="experiment_id IN ('999999')", limit=1) == []
