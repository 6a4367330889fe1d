"""The registry as a release script uses it: no model is loaded, so that the smallest client can do it too."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mlflow
import requests
from mlflow import MlflowClient
from story import PREFIX, check, refused, step

client = MlflowClient()
NAME = f"{PREFIX}.release"


def version_of(name: str, note: str) -> str:
    """Register a folder that looks like a model, and return the version."""
    run = client.create_run(mlflow.set_experiment(f"{PREFIX}.release").experiment_id).info.run_id
    client.log_text(run, f"flavors: {{}}\nnote: {note}\n", "model/MLmodel")
    return str(client.create_model_version(name, f"runs:/{run}/model", run, tags={"note": note}).version)


@step()
def a_model_is_registered_described_and_tagged() -> None:
    client.create_registered_model(NAME, tags={"area": "credit"}, description="First.")
    with refused("RESOURCE_ALREADY_EXISTS"):
        client.create_registered_model(NAME)
    check([version_of(NAME, note) for note in ("a", "b", "c")] == ["1", "2", "3"])
    client.update_registered_model(NAME, "Second.")
    client.update_model_version(NAME, "2", "The good one.")
    client.set_registered_model_tag(NAME, "owner", "dana")
    client.set_model_version_tag(NAME, "2", "seen", "yes")
    client.delete_model_version_tag(NAME, "2", "note")
    model = client.get_registered_model(NAME)
    check((model.description, model.tags) == ("Second.", {"area": "credit", "owner": "dana"}), model)
    version = client.get_model_version(NAME, "2")
    check((version.description, version.tags, version.status) == ("The good one.", {"seen": "yes"}, "READY"), version)


@step()
def versions_are_found_by_filter_and_by_page() -> None:
    found = client.search_model_versions(f"name = '{NAME}'", order_by=["version_number ASC"])
    check([str(version.version) for version in found] == ["1", "2", "3"], found)
    found = client.search_model_versions(f"name = '{NAME}' and tags.seen = 'yes'")
    check([str(version.version) for version in found] == ["2"])
    page = client.search_model_versions(f"name = '{NAME}'", max_results=2)
    rest = client.search_model_versions(f"name = '{NAME}'", max_results=2, page_token=page.token)
    check(len(page) == 2 and len(rest) == 1 and not rest.token)
    models = client.search_registered_models(f"name LIKE '{PREFIX}.rel%' and tags.area = 'credit'")
    check([model.name for model in models] == [NAME])


@step()
def stages_and_aliases_move_and_the_old_version_is_archived() -> None:
    client.transition_model_version_stage(NAME, "1", "Production")
    client.transition_model_version_stage(NAME, "2", "Production", archive_existing_versions=True)
    stages = {str(v.version): v.current_stage for v in client.search_model_versions(f"name = '{NAME}'")}
    check(stages == {"1": "Archived", "2": "Production", "3": "None"}, stages)
    client.set_registered_model_alias(NAME, "live", "1")
    client.set_registered_model_alias(NAME, "live", "2")
    check(str(client.get_model_version_by_alias(NAME, "live").version) == "2")
    check(client.get_model_version(NAME, "2").aliases == ["live"])
    client.delete_registered_model_alias(NAME, "live")
    with refused("INVALID_PARAMETER_VALUE"):
        client.get_model_version_by_alias(NAME, "live")


@step()
def a_version_is_copied_to_another_model() -> None:
    copy = client.copy_model_version(f"models:/{NAME}/2", f"{NAME}.copy")
    check((str(copy.version), copy.source) == ("1", f"models:/{NAME}/2"), copy)
    with tempfile.TemporaryDirectory() as place:
        back = mlflow.artifacts.download_artifacts(f"models:/{NAME}.copy/1", dst_path=place)
        check("note: b" in (Path(back) / "MLmodel").read_text())


@step()
def what_is_renamed_keeps_its_versions_and_what_is_deleted_is_gone() -> None:
    client.rename_registered_model(f"{NAME}.copy", f"{NAME}.renamed")
    check(client.get_model_version(f"{NAME}.renamed", "1").status == "READY")
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(f"{NAME}.copy")
    client.delete_model_version(NAME, "3")
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_model_version(NAME, "3")
    client.delete_registered_model(f"{NAME}.renamed")
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(f"{NAME}.renamed")
    check(version_of(NAME, "d") == "4", "a number is not given twice")


@step()
def a_run_that_a_version_came_from_is_kept() -> None:
    run_id = client.get_model_version(NAME, "2").run_id
    with refused("PERMISSION_DENIED", NAME):
        client.delete_run(run_id)
    check(client.get_run(run_id).info.lifecycle_stage == "active")


@step()
def the_files_of_a_version_are_not_changed_any_more() -> None:
    run_id = client.get_model_version(NAME, "2").run_id
    client.log_text(run_id, "flavors: {}\nnote: b\n", "model/MLmodel")  # the same again
    try:
        client.log_text(run_id, "flavors: {}\nnote: other\n", "model/MLmodel")
    except requests.HTTPError as error:  # what the client raises for an upload that did not work
        check("409" in str(error) and "registered model version" in str(error), error)
    else:
        raise AssertionError("a file of a registered version was changed")
