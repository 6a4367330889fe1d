"""Experiments and runs: nested, in threads, asynchronously, searched, deleted and restored."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor

import mlflow
from mlflow import MlflowClient
from story import PREFIX, check, refused, step

client = MlflowClient()


@step()
def nested_runs_keep_their_parent() -> None:
    mlflow.set_experiment(f"{PREFIX}.runs")
    with mlflow.start_run(run_name="parent", tags={"team": "credit"}) as parent:
        mlflow.log_params({"alpha": 0.5, "kind": "ridge"})
        with mlflow.start_run(run_name="child", nested=True) as child:
            for at in range(3):
                mlflow.log_metrics({"loss": 1 / (at + 1), "odd/näme": at}, step=at)
            mlflow.log_metric("broken", math.nan)
    read = client.get_run(child.info.run_id)
    check(read.data.tags["mlflow.parentRunId"] == parent.info.run_id, read.data.tags)
    check(read.info.status == "FINISHED" and read.info.end_time >= read.info.start_time > 0, read.info)
    check(read.data.metrics["loss"] == 1 / 3 and math.isnan(read.data.metrics["broken"]), read.data.metrics)
    points = [(m.step, m.value) for m in client.get_metric_history(child.info.run_id, "loss")]
    check(points == [(0, 1.0), (1, 0.5), (2, 1 / 3)], points)
    check(client.get_run(parent.info.run_id).data.params == {"alpha": "0.5", "kind": "ridge"})
    check(client.get_run(parent.info.run_id).data.tags["team"] == "credit")


@step()
def a_failed_run_says_so() -> None:
    mlflow.set_experiment(f"{PREFIX}.runs")
    try:
        with mlflow.start_run() as run:
            raise ZeroDivisionError
    except ZeroDivisionError:
        check(client.get_run(run.info.run_id).info.status == "FAILED")
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.set_tag("again", "yes")
    check(client.get_run(run.info.run_id).info.status == "FINISHED")


@step()
def a_parameter_is_not_changed_and_the_message_says_which() -> None:
    run = client.create_run(client.get_experiment_by_name(f"{PREFIX}.runs").experiment_id)
    client.log_param(run.info.run_id, "alpha", 1)
    client.log_param(run.info.run_id, "alpha", 1)
    with refused("INVALID_PARAMETER_VALUE", "alpha"):
        client.log_param(run.info.run_id, "alpha", 2)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_run("0" * 32)


@step()
def nothing_is_lost_when_logging_asynchronously() -> None:
    mlflow.set_experiment(f"{PREFIX}.asynchronous")
    with mlflow.start_run() as run:
        for at in range(300):
            mlflow.log_metric("loss", at, step=at, synchronous=False)
        mlflow.log_params({f"p{at}": at for at in range(150)}, synchronous=False)
        mlflow.set_tag("seen", "yes", synchronous=False)
        mlflow.flush_async_logging()
    read = client.get_run(run.info.run_id).data
    check(len(client.get_metric_history(run.info.run_id, "loss")) == 300)
    check(len(read.params) == 150 and read.tags["seen"] == "yes" and read.metrics["loss"] == 299)


@step()
def nothing_is_lost_when_threads_log_to_one_run_and_to_several() -> None:
    experiment = mlflow.set_experiment(f"{PREFIX}.threads").experiment_id
    shared = client.create_run(experiment).info.run_id

    def work(thread: int) -> str:
        own = client.create_run(experiment, run_name=f"thread {thread}").info.run_id
        for at in range(12):
            client.log_metric(own, "loss", at, step=at)
            client.log_metric(shared, f"loss-{thread}", at, step=at)
            client.log_metric(shared, "together", thread, step=at)
        client.log_param(shared, f"p{thread}", thread)
        client.set_tag(shared, "last", str(thread))
        client.set_terminated(own)
        return own

    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(work, range(8)))
    check(all(len(client.get_metric_history(run, "loss")) == 12 for run in runs))
    check(len(client.get_metric_history(shared, "together")) == 96)
    check(all(len(client.get_metric_history(shared, f"loss-{thread}")) == 12 for thread in range(8)))
    check(client.get_run(shared).data.params == {f"p{thread}": str(thread) for thread in range(8)})
    found = client.search_runs([experiment], "attributes.status = 'FINISHED' and metrics.loss = 11")
    check(sorted(run.info.run_id for run in found) == sorted(runs))


@step()
def a_long_batch_is_split_and_arrives_whole() -> None:
    run = client.create_run(mlflow.set_experiment(f"{PREFIX}.runs").experiment_id).info.run_id
    now = int(time.time() * 1000)
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run,
        metrics=[Metric("m", at, now + at, at) for at in range(2500)],
        params=[Param(f"p{at}", "x") for at in range(100)],
        tags=[RunTag(f"t{at}", "x") for at in range(100)],
    )
    check(len(client.get_metric_history(run, "m")) == 2500)
    check(len(client.get_run(run).data.params) == 100)


@step()
def runs_are_searched_ordered_and_paged() -> None:
    experiment = client.create_experiment(f"{PREFIX}.search", tags={"area": "credit"})
    for at in range(7):
        run = client.create_run(experiment, run_name=f"run {at}", tags={"parity": "even" if at % 2 == 0 else "odd"})
        client.log_metric(run.info.run_id, "auc", at / 10)
        client.log_param(run.info.run_id, "depth", str(at))
    even = client.search_runs([experiment], "tags.parity = 'even' and metrics.auc > 0.1", order_by=["metrics.auc DESC"])
    check([run.info.run_name for run in even] == ["run 6", "run 4", "run 2"], even)
    names, token = [], None
    while True:
        page = client.search_runs([experiment], order_by=["params.depth ASC"], max_results=3, page_token=token)
        names += [run.info.run_name for run in page]
        token = page.token
        if not token:
            break
    check(names == [f"run {at}" for at in range(7)], names)
    with refused("INVALID_PARAMETER_VALUE"):
        client.search_runs([experiment], "metrics.auc LIKE 'x'")
    found = client.search_experiments(filter_string=f"name LIKE '{PREFIX}.sear%' and tags.area = 'credit'")
    check([experiment.name for experiment in found] == [f"{PREFIX}.search"])


@step("mlflow-3", "mlflow-2")
def runs_are_searched_into_a_data_frame() -> None:
    frame = mlflow.search_runs(
        experiment_names=[f"{PREFIX}.search"], filter_string="params.depth != '0'", order_by=["metrics.auc"]
    )
    check(list(frame["metrics.auc"]) == [at / 10 for at in range(1, 7)], frame)
    check({"run_id", "status", "params.depth", "tags.parity", "start_time"} <= set(frame.columns), frame.columns)
    check(mlflow.search_runs(experiment_names=[f"{PREFIX}.search"], filter_string="metrics.auc > 99").empty)


@step()
def experiments_and_runs_are_renamed_deleted_and_restored() -> None:
    experiment = client.create_experiment(f"{PREFIX}.gone")
    run = client.create_run(experiment).info.run_id
    client.rename_experiment(experiment, f"{PREFIX}.gone twice")
    client.update_run(run, name="renamed")
    check(client.get_run(run).info.run_name == "renamed")
    client.delete_run(run)
    check(client.search_runs([experiment]) == [])
    with refused("INVALID_PARAMETER_VALUE"):
        client.log_metric(run, "late", 1)
    client.restore_run(run)
    client.delete_experiment(experiment)
    check(client.get_experiment(experiment).lifecycle_stage == "deleted")
    with refused("RESOURCE_ALREADY_EXISTS"):
        client.create_experiment(f"{PREFIX}.gone twice")
    client.restore_experiment(experiment)
    check([found.info.run_id for found in client.search_runs([experiment])] == [run])


@step("mlflow-3", "mlflow-2")
def data_sets_are_logged_and_searched() -> None:
    import pandas as pd

    mlflow.set_experiment(f"{PREFIX}.data")
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    data = mlflow.data.from_pandas(frame, source="memory.csv", name="loans", targets="y")
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="training", tags={"split": "a"})
        mlflow.log_input(data, context="training")
    used = client.get_run(run.info.run_id).inputs.dataset_inputs
    check(len(used) == 1 and used[0].dataset.name == "loans" and used[0].dataset.digest == data.digest, used)
    check({(tag.key, tag.value) for tag in used[0].tags} >= {("mlflow.data.context", "training")}, used[0].tags)
    found = mlflow.search_runs(experiment_names=[f"{PREFIX}.data"], filter_string="datasets.name = 'loans'")
    check(list(found["run_id"]) == [run.info.run_id])
