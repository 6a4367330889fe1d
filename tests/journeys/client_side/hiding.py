"""Two people whose objects lie interleaved: each pages through full pages of their own, as if the other's were not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlflow
from mlflow import MlflowClient
from story import PREFIX, acting_as, check, refused, step

client = MlflowClient()
PEOPLE = ("dana", "noor")
EACH = 7
Page = Callable[[int, Any], Any]


def paged(search: Page, name: Callable[[Any], str]) -> list[str]:
    """Return the names on all pages of three. Raises AssertionError for a page that is not full, or a token that leads to none."""
    found: list[str] = []
    token = None
    while True:
        page = search(3, token)
        names = [name(item) for item in page]
        found += names
        token = page.token
        if not token:
            check(len(names) == EACH % 3, f"the last page has {names}")
            return found
        check(len(names) == 3, f"a page of three has {names}")


def each_sees_their_own(kind: str, search: Page, name: Callable[[Any], str]) -> None:
    for person in PEOPLE:
        with acting_as(person):
            found = paged(search, name)
        wanted = {f"{PREFIX}.{kind}-{at}-{person}" for at in range(EACH)}
        check(len(found) == EACH and set(found) == wanted, f"{person} found {found}")
    with acting_as("mallory"):
        page = search(3, None)
        check(list(page) == [] and not page.token, page)


@step()
def pages_of_experiments_show_nothing_of_what_is_hidden() -> None:
    for at in range(EACH):
        for person in PEOPLE:
            with acting_as(person):
                client.create_experiment(f"{PREFIX}.hidden-{at}-{person}")
    mine = f"name LIKE '{PREFIX}.hidden-%'"

    def search(most: int, token: Any) -> Any:
        return client.search_experiments(filter_string=mine, max_results=most, page_token=token, order_by=["name"])

    each_sees_their_own("hidden", search, lambda experiment: experiment.name)
    with acting_as("noor"), refused("RESOURCE_DOES_NOT_EXIST"):
        client.rename_experiment(_experiments("dana")[0], "taken over")


@step()
def pages_of_runs_show_nothing_of_what_is_hidden() -> None:
    own = {person: _experiments(person) for person in PEOPLE}
    everything = [experiment for experiments in own.values() for experiment in experiments]
    runs = {}
    for at in range(EACH):
        for person in PEOPLE:
            with acting_as(person):
                run = client.create_run(own[person][at], start_time=1000 + at, run_name=f"{PREFIX}.hidden-{at}-{person}")
                runs[person] = run.info.run_id

    def search(most: int, token: Any) -> Any:
        return client.search_runs(everything, max_results=most, page_token=token)

    each_sees_their_own("hidden", search, lambda run: run.info.run_name)
    with acting_as("noor"):
        for call in (client.get_run, client.delete_run, lambda run: client.log_metric(run, "m", 1)):
            for run_id in (runs["dana"], "0" * 32):
                with refused("RESOURCE_DOES_NOT_EXIST"):
                    call(run_id)


@step()
def pages_of_models_and_versions_show_nothing_of_what_is_hidden() -> None:
    for at in range(EACH):
        for person in PEOPLE:
            with acting_as(person):
                name = f"{PREFIX}.hidden-{at}-{person}"
                client.create_registered_model(name)
                mlflow.set_experiment(f"{PREFIX}.release-{person}")
                run = client.create_run(client.get_experiment_by_name(f"{PREFIX}.release-{person}").experiment_id).info.run_id
                client.log_text(run, "flavors: {}\n", "model/MLmodel")
                client.create_model_version(name, f"runs:/{run}/model", run)
    mine = f"name LIKE '{PREFIX}.hidden-%'"

    def models(most: int, token: Any) -> Any:
        return client.search_registered_models(mine, max_results=most, page_token=token)

    def versions(most: int, token: Any) -> Any:
        return client.search_model_versions(mine, max_results=most, page_token=token)

    each_sees_their_own("hidden", models, lambda model: model.name)
    each_sees_their_own("hidden", versions, lambda version: version.name)
    with acting_as("noor"):
        for name in (f"{PREFIX}.hidden-0-dana", f"{PREFIX}.absent"):
            with refused("RESOURCE_DOES_NOT_EXIST"):
                client.get_model_version(name, "1")
            with refused("RESOURCE_DOES_NOT_EXIST"):
                client.set_registered_model_tag(name, "a", "b")


@step("mlflow-3")
def pages_of_logged_models_show_nothing_of_what_is_hidden() -> None:
    own = {person: _experiments(person) for person in PEOPLE}
    everything = [experiment for experiments in own.values() for experiment in experiments]
    models = {}
    for at in range(EACH):
        for person in PEOPLE:
            with acting_as(person):
                made = client.create_logged_model(own[person][at], name=f"hidden-{at}-{person}", tags={"n": str(at)})
                models[person] = made.model_id

    def search(most: int, token: Any) -> Any:
        return client.search_logged_models(everything, max_results=most, page_token=token)

    each_sees_their_own("hidden", search, lambda model: f"{PREFIX}.{model.name}")
    with acting_as("noor"):
        for model_id in (models["dana"], "m-" + "0" * 32):
            with refused("RESOURCE_DOES_NOT_EXIST"):
                client.get_logged_model(model_id)
            with refused("RESOURCE_DOES_NOT_EXIST"):
                client.finalize_logged_model(model_id, "READY")


def _experiments(person: str) -> list[str]:
    with acting_as(person):
        found = client.search_experiments(filter_string=f"name LIKE '{PREFIX}.hidden-%'", order_by=["name"])
    return [experiment.experiment_id for experiment in found]
