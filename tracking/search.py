"""Search experiments, runs and logged models: filters become conditions of one statement, limited to what the actor may read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core import sql
from core.access import Actor
from core.errors import Invalid
from tracking.filters import LISTED, MAX_TERMS, NULL, NUMERIC, TEXT, Clause, Entity, Grammar, Key, Order, compare
from tracking.models import Lifecycle
from tracking.queries import (
    experiment_columns,
    experiment_number,
    logged_model_columns,
    logged_model_records,
    readable,
    run_columns,
    run_records,
)
from tracking.records import ExperimentRecord, LoggedModelRecord, RunRecord

VIEWS: dict[str, tuple[str, ...]] = {
    "ACTIVE_ONLY": (Lifecycle.ACTIVE.value,),
    "DELETED_ONLY": (Lifecycle.DELETED.value,),
    "ALL": (Lifecycle.ACTIVE.value, Lifecycle.DELETED.value),
}

_NUMBER = Key(NUMERIC, number=True)
_METRIC = Key(NUMERIC, number=True, double=True)

EXPERIMENTS = Grammar(
    entities=(
        Entity("tags", ("tag",), any_key=Key(TEXT | NULL)),
        Entity(
            "attribute",
            keys={
                "name": Key(TEXT),
                "experiment_id": Key(LISTED | {"=", "!="}),
                "creation_time": Key(NUMERIC, number=True, whole=True),
                "last_update_time": Key(NUMERIC, number=True, whole=True),
            },
        ),
    ),
    default="attribute",
    sortable={"attribute": None},
    repeats=True,
    capitals=True,
)

RUNS = Grammar(
    entities=(
        Entity("metrics", ("metric",), any_key=_METRIC),
        Entity("params", ("param", "parameter", "parameters"), any_key=Key(TEXT | NULL)),
        Entity("tags", ("tag",), any_key=Key(TEXT | NULL)),
        Entity("datasets", ("dataset",), keys={name: Key(TEXT | LISTED) for name in ("name", "digest", "context")}),
        Entity(
            "attributes",
            ("attribute", "attr", "run"),
            keys={
                "run_id": Key(TEXT | LISTED),
                **{name: Key(TEXT) for name in ("run_name", "status", "artifact_uri", "user_id")},
                "start_time": _NUMBER,
                "end_time": _NUMBER,
            },
            key_aliases={
                "created": "start_time",
                "Created": "start_time",
                "run name": "run_name",
                "Run name": "run_name",
                "Run Name": "run_name",
            },
        ),
    ),
    default="attributes",
    sortable={
        "metrics": None,
        "params": None,
        "tags": None,
        "attributes": frozenset({"run_id", "run_name", "status", "artifact_uri", "user_id", "start_time", "end_time"}),
    },
)

_RUN_COLUMNS = {
    "run_id": "r.id",
    "run_name": "r.name",
    "status": "r.status",
    "artifact_uri": "r.artifact_uri",
    "user_id": "r.user_id_text",
    "start_time": "r.start_ms",
    "end_time": "r.end_ms",
}

_MODEL_TEXT = Key(TEXT | LISTED)
_MODEL_ATTRIBUTES = (
    "name",
    "model_id",
    "model_type",
    "status",
    "status_message",
    "source_run_id",
    "experiment_id",
    "artifact_location",
    "lifecycle_stage",
)
LOGGED_MODELS = Grammar(
    entities=(
        Entity("metrics", any_key=_METRIC),
        Entity("params", any_key=_MODEL_TEXT),
        Entity("tags", any_key=_MODEL_TEXT),
        Entity(
            "attributes",
            keys={
                **dict.fromkeys(_MODEL_ATTRIBUTES, _MODEL_TEXT),
                "creation_time": _NUMBER,
                "last_updated_time": _NUMBER,
            },
            key_aliases={
                "creation_timestamp": "creation_time",
                "creation_timestamp_ms": "creation_time",
                "last_updated_timestamp": "last_updated_time",
                "last_updated_timestamp_ms": "last_updated_time",
            },
        ),
    ),
    default="attributes",
    sortable={"metrics": None, "attributes": None},
    repeats=True,
)

_MODEL_COLUMNS = {
    "name": "m.name",
    "model_id": "m.id",
    "model_type": "m.model_type",
    "status": "m.status",
    "status_message": "CAST(NULL AS text)",  # no call of the protocol sets one
    "artifact_location": "m.artifact_uri",
    "lifecycle_stage": "CASE WHEN m.deleted_ms IS NULL THEN 'active' ELSE 'deleted' END",
    "source_run_id": "m.source_run_id",
    "experiment_id": "CAST(m.experiment_id AS text)",
    "creation_time": "m.created_ms",
    "last_updated_time": "m.updated_ms",
}


@dataclass(frozen=True)
class ModelOrder:
    """One key to sort logged models by; the data set narrows which points of a metric count."""

    key: str
    ascending: bool = True
    dataset_name: str | None = None
    dataset_digest: str | None = None


class Statement:
    """Conditions, joins and sort keys as they are gathered, each with its parameters, in the order the statement has them."""

    def __init__(self) -> None:
        self.joins: list[str] = []
        self.join_parameters: list[Any] = []
        self.conditions: list[str] = []
        self.parameters: list[Any] = []
        self.sort: list[str] = []

    def where(self, condition: str, parameters: Sequence[Any] = ()) -> None:
        """Add a condition."""
        self.conditions.append(condition)
        self.parameters += parameters

    def join(self, table: str, parameters: Sequence[Any], *, outer: bool = True) -> None:
        """Add a join, an outer one unless the row must be there."""
        self.joins.append(f"{'LEFT JOIN' if outer else 'JOIN'} {table}")
        self.join_parameters += parameters

    def rows(self, table: str, columns: str, limit: int, offset: int) -> list[sql.Row]:
        """Return the page's rows. The page is chosen first, so that lists are gathered only for what is shown."""
        alias = table.rpartition(" ")[2]
        keys = [part.rpartition(" ") for part in self.sort]
        named = "".join(f", {expression} AS s{at}" for at, (expression, _, _) in enumerate(keys))
        order = ", ".join(f"{part}" for part in self.sort)
        outer = ", ".join(f"page.s{at} {direction}" for at, (_, _, direction) in enumerate(keys))
        return sql.fetch_unprepared(
            f"WITH page AS (SELECT {alias}.id AS chosen{named} FROM {table} {' '.join(self.joins)}"
            f" WHERE {' AND '.join(self.conditions)} ORDER BY {order} LIMIT {limit:d} OFFSET {offset:d})"
            f" SELECT {columns} FROM page JOIN {table} ON {alias}.id = page.chosen ORDER BY {outer}",
            [*self.join_parameters, *self.parameters],
        )


def experiments(
    actor: Actor,
    *,
    filter_text: str | None = None,
    order_by: Sequence[str] | None = None,
    view: str = "ACTIVE_ONLY",
    limit: int,
    offset: int = 0,
) -> list[ExperimentRecord]:
    """Return a page of experiments, newest first unless said otherwise. Raises Invalid for a bad filter or order."""
    columns = {
        "name": "e.name",
        "experiment_id": "e.id",
        "creation_time": "e.created_ms",
        "last_update_time": "e.updated_ms",
    }
    query = Statement()
    query.where(*readable(actor, "e.id"))
    query.where(f"e.lifecycle_stage IN ({sql.marks(VIEWS[view])})", VIEWS[view])
    for clause in EXPERIMENTS.clauses(filter_text):
        if clause.entity == "tags":
            where_pair(query, clause, "tracking_experimenttag", "experiment_id", "e.id")
        elif clause.key == "experiment_id":
            _require_numbers(clause)
            _where_column(query, clause, "CAST(e.id AS text)")
        else:
            _where_column(query, clause, columns[clause.key])
    orders = EXPERIMENTS.orders(order_by)
    for order in orders:
        expression = columns[order.key]
        query.sort.append(f"{sql.ordered(expression) if order.key == 'name' else expression} {direction(order)}")
    if not any(order.key == "creation_time" for order in orders):
        query.sort.append("e.created_ms DESC")
    query.sort.append("e.id ASC")
    return [ExperimentRecord(*row) for row in query.rows("tracking_experiment e", experiment_columns(), limit, offset)]


def runs(
    actor: Actor,
    *,
    experiment_ids: Sequence[int],
    filter_text: str | None = None,
    order_by: Sequence[str] | None = None,
    view: str = "ACTIVE_ONLY",
    limit: int,
    offset: int = 0,
) -> list[RunRecord]:
    """Return a page of the runs of these experiments, latest start first unless said otherwise.

    Raises Invalid for a bad filter or order.
    """
    clauses, orders = RUNS.clauses(filter_text), RUNS.orders(order_by)
    if not experiment_ids:
        return []
    query = Statement()
    query.where(f"r.experiment_id IN ({sql.marks(experiment_ids)})", experiment_ids)
    query.where(*readable(actor, "r.experiment_id"))
    query.where(f"r.lifecycle_stage IN ({sql.marks(VIEWS[view])})", VIEWS[view])
    sorted_by = {order.key for order in orders if order.entity == "metrics"}
    on_sorted = [clause for clause in clauses if clause.entity == "metrics" and clause.key in sorted_by]
    for clause in clauses:
        if clause not in on_sorted:
            _RUN_CONDITIONS[clause.entity](query, clause)
    for at, order in enumerate(orders):
        if order.entity == "metrics":
            _sort_by_metric(query, order, f"o{at}", [clause for clause in on_sorted if clause.key == order.key])
        else:
            _sort_runs(query, order, f"o{at}")
    if not any(order.key == "start_time" and order.entity == "attributes" for order in orders):
        query.sort.append("r.start_ms DESC")
    if not any(order.key == "run_id" and order.entity == "attributes" for order in orders):
        query.sort.append("r.id ASC")
    return run_records(query.rows("tracking_run r", run_columns(), limit, offset))


def _sort_by_metric(query: Statement, order: Order, alias: str, clauses: Sequence[Clause]) -> None:
    """Sort by a metric, those without it last and NaN before them. clauses: the conditions of the filter on this metric.

    These are asked of the very row that is sorted by, so that the index on values gives the first page without the rest.
    """
    query.join(f"tracking_latestmetric {alias} ON {alias}.run_id = r.id AND {alias}.key = %s", [order.key], outer=not clauses)
    for clause in clauses:
        query.where(_number(alias, clause.comparator), [clause.value])
    if not clauses:
        query.sort.append(f"CASE WHEN {alias}.key IS NULL THEN 2 WHEN {alias}.is_nan THEN 1 ELSE 0 END ASC")
    elif all(clause.comparator == "!=" for clause in clauses):  # which a NaN fulfils
        query.sort.append(f"CASE WHEN {alias}.is_nan THEN 1 ELSE 0 END ASC")
    query.sort.append(f"{alias}.value {direction(order)}")


def _sort_runs(query: Statement, order: Order, alias: str) -> None:
    if order.entity == "attributes":
        expression = _RUN_COLUMNS[order.key]
        if order.key not in ("start_time", "end_time"):
            expression = sql.ordered(expression)
        if order.key == "end_time":
            query.sort.append(f"CASE WHEN {expression} IS NULL THEN 1 ELSE 0 END ASC")
        query.sort.append(f"{expression} {direction(order)}")
        return
    table = "tracking_param" if order.entity == "params" else "tracking_runtag"
    query.join(f"{table} {alias} ON {alias}.run_id = r.id AND {alias}.key = %s", [order.key])
    query.sort.append(f"CASE WHEN {alias}.key IS NULL THEN 1 ELSE 0 END ASC")
    query.sort.append(f"{sql.ordered(f'{alias}.value')} {direction(order)}")


def _where_metric(query: Statement, clause: Clause) -> None:
    query.where(
        f"EXISTS (SELECT 1 FROM tracking_latestmetric x WHERE x.run_id = r.id AND x.key = %s AND {_number('x', clause.comparator)})",
        [clause.key, clause.value],
    )


def _number(alias: str, comparator: str) -> str:
    """Return the condition on a point's value; a NaN differs from every number, and nothing else holds for it."""
    return (
        f"({alias}.is_nan OR {alias}.value != %s)"
        if comparator == "!="
        else f"NOT {alias}.is_nan AND {alias}.value {comparator} %s"
    )


def _where_dataset(query: Statement, clause: Clause) -> None:
    if clause.key != "context":
        condition, values = compared(f"d.{clause.key}", clause)
        query.where(
            "EXISTS (SELECT 1 FROM tracking_runinput x JOIN tracking_inputdataset d ON d.id = x.dataset_id"
            f" WHERE x.run_id = r.id AND {condition})",
            values,
        )
        return
    if sql.is_postgresql():
        each, key, value = "jsonb_array_elements(x.tags) t", "t->>'key'", "t->>'value'"
    else:
        each, key, value = "json_each(x.tags) t", "json_extract(t.value, '$.key')", "json_extract(t.value, '$.value')"
    condition, values = compared(f"({value})", clause)
    query.where(
        f"EXISTS (SELECT 1 FROM tracking_runinput x CROSS JOIN {each}"
        f" WHERE x.run_id = r.id AND {key} = 'mlflow.data.context' AND {condition})",
        values,
    )


_RUN_CONDITIONS: dict[str, Callable[[Statement, Clause], None]] = {
    "metrics": _where_metric,
    "params": lambda query, clause: where_pair(query, clause, "tracking_param", "run_id", "r.id"),
    "tags": lambda query, clause: where_pair(query, clause, "tracking_runtag", "run_id", "r.id"),
    "datasets": _where_dataset,
    "attributes": lambda query, clause: _where_column(query, clause, _RUN_COLUMNS[clause.key]),
}


def logged_models(
    actor: Actor,
    *,
    experiment_ids: Sequence[int],
    filter_text: str | None = None,
    datasets: Sequence[tuple[str, str | None]] = (),
    order_by: Sequence[ModelOrder] = (),
    limit: int,
    offset: int = 0,
) -> list[LoggedModelRecord]:
    """Return a page of the models logged to these experiments, newest first unless said otherwise.

    datasets: (name, digest) of the only data sets whose metrics the filter looks at; no digest means any.
    Raises Invalid for a bad filter or order.
    """
    clauses = LOGGED_MODELS.clauses(filter_text)
    for given in order_by:
        if "." in given.key and not given.key.startswith("metrics."):
            raise Invalid(f"Cannot sort by {given.key!r}: name an attribute as it is, or a metric as metrics.<name>.")
    if len(order_by) > MAX_TERMS:
        raise Invalid(f"There are more than {MAX_TERMS} keys to sort by.")
    orders = [(LOGGED_MODELS.order(given.key, given.ascending), given) for given in order_by]
    if not experiment_ids:
        return []
    query = Statement()
    query.where(f"m.experiment_id IN ({sql.marks(experiment_ids)})", experiment_ids)
    query.where(*readable(actor, "m.experiment_id"))
    query.where("m.deleted_ms IS NULL")
    for clause in clauses:
        _where_model(query, clause, datasets)
    if datasets and not any(clause.entity == "metrics" for clause in clauses):
        narrowed, values = _of_datasets(datasets)
        query.where(
            f"EXISTS (SELECT 1 FROM tracking_metricpoint x WHERE x.model_id = m.id AND x.model_id <> ''{narrowed})", values
        )
    for order, given in orders:
        _sort_models(query, order, given)
    if not any(order.key == "creation_time" for order, _ in orders):
        query.sort.append("m.created_ms DESC")
    query.sort.append("m.id ASC")
    return logged_model_records(query.rows("tracking_loggedmodel m", logged_model_columns(), limit, offset))


def _where_model(query: Statement, clause: Clause, datasets: Sequence[tuple[str, str | None]]) -> None:
    if clause.entity == "metrics":
        narrowed, values = _of_datasets(datasets)
        query.where(
            "EXISTS (SELECT 1 FROM tracking_metricpoint x WHERE x.model_id = m.id AND x.model_id <> '' AND x.key = %s"
            f" AND {_number('x', clause.comparator)}{narrowed})",
            [clause.key, clause.value, *values],
        )
    elif clause.entity == "attributes":
        if clause.key == "status":
            clause = Clause(clause.entity, clause.key, clause.comparator, _status_names(clause.value))
        _where_column(query, clause, _MODEL_COLUMNS[clause.key])
    else:
        table = "tracking_loggedmodelparam" if clause.entity == "params" else "tracking_loggedmodeltag"
        where_pair(query, clause, table, "model_id", "m.id")


def _sort_models(query: Statement, order: Order, given: ModelOrder) -> None:
    if order.entity == "attributes":
        expression = _MODEL_COLUMNS[order.key]
        query.sort.append(f"{expression if order.key.endswith('_time') else sql.ordered(expression)} {direction(order)}")
        return
    dataset = (given.dataset_name, given.dataset_digest)
    narrowed, values = _of_datasets([dataset] if any(dataset) else [])
    alias, row = f"o{len(query.joins)}", sql.row_address()
    # the latest point of the metric stands for the model
    query.join(
        f"tracking_metricpoint {alias} ON {alias}.{row} = (SELECT x.{row} FROM tracking_metricpoint x WHERE x.model_id = m.id"
        f" AND x.model_id <> '' AND x.key = %s{narrowed} ORDER BY x.timestamp_ms DESC, x.step DESC, x.value DESC LIMIT 1)",
        [order.key, *values],
    )
    query.sort.append(f"CASE WHEN {alias}.key IS NULL THEN 2 WHEN {alias}.is_nan THEN 1 ELSE 0 END ASC")
    query.sort.append(f"{alias}.value {direction(order)}")


def _of_datasets(datasets: Sequence[tuple[str | None, str | None]]) -> tuple[str, list[Any]]:
    """Return what limits the points x to those measured on one of these data sets; of each, name or digest may be left open."""
    if not datasets:
        return "", []
    parts, values = [], []
    for dataset in datasets:
        given = [(column, text) for column, text in zip(("name", "digest"), dataset, strict=True) if text]
        parts.append(" AND ".join(f"x.dataset_{column} = %s" for column, _ in given))
        values += [text for _, text in given]
    return f" AND (({') OR ('.join(parts)}))", values


def _status_names(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_status_names(item) for item in value)
    return f"LOGGED_MODEL_{value}" if value in ("READY", "PENDING", "UPLOAD_FAILED") else value


def _require_numbers(clause: Clause) -> None:
    """Refuse ids of experiments that are no whole numbers. Raises Invalid."""
    for text in clause.value if isinstance(clause.value, tuple) else (str(clause.value),):
        experiment_number(text)


def _where_column(query: Statement, clause: Clause, column: str) -> None:
    query.where(*compared(column, clause))


def where_pair(query: Statement, clause: Clause, table: str, owner: str, of: str) -> None:
    """Compare a tag or parameter. Only IS NULL holds for what lacks the key."""
    has = f"EXISTS (SELECT 1 FROM {table} x WHERE x.{owner} = {of} AND x.key = %s"
    if clause.comparator in NULL:
        query.where(f"{'NOT ' if clause.comparator == 'IS NULL' else ''}{has})", [clause.key])
        return
    condition, values = compared("x.value", clause)
    query.where(f"{has} AND {condition})", [clause.key, *values])


def compared(column: str, clause: Clause) -> tuple[str, list[Any]]:
    """Return the clause's comparison of a column, with its parameters."""
    return compare(column, clause.comparator, clause.value, vendor="postgresql" if sql.is_postgresql() else "sqlite")


def direction(order: Order) -> str:
    """Return which way an order goes, in SQL's word."""
    return "ASC" if order.ascending else "DESC"
