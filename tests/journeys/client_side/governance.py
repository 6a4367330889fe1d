"""What governance looks like from a client: refusals that say which policy, what is missing and where to ask."""

from __future__ import annotations

import os

from mlflow import MlflowClient
from releasing import version_of
from story import PREFIX, acting_as, check, refused, step

client = MlflowClient()
NAME = f"governed.{PREFIX}"  # the policy is bound to governed.*
REFUSED = ("credit", "Two others agree", "/api/v1/promotion-requests/")


@step()
def a_governed_stage_and_alias_are_refused_with_what_is_missing_and_where_to_ask() -> None:
    client.create_registered_model(NAME)
    for note in ("a", "b"):
        version_of(NAME, note)
    with refused("PERMISSION_DENIED", *REFUSED, os.environ["MLFLOW_TRACKING_URI"]):
        client.transition_model_version_stage(NAME, "1", "Production")
    with refused("PERMISSION_DENIED", *REFUSED):
        client.set_registered_model_alias(NAME, "champion", "1")
    check(client.get_model_version(NAME, "1").current_stage == "None")
    check(client.get_registered_model(NAME).aliases == {})


@step()
def places_that_no_policy_guards_are_free() -> None:
    client.transition_model_version_stage(NAME, "1", "Staging")
    client.set_registered_model_alias(NAME, "candidate", "1")
    check(client.get_model_version(NAME, "1").current_stage == "Staging")


@step()
def archiving_what_is_there_is_never_applied_by_half() -> None:
    with refused("PERMISSION_DENIED", *REFUSED):
        client.transition_model_version_stage(NAME, "1", "Production", archive_existing_versions=True)
    check(client.get_model_version(NAME, "1").current_stage == "Staging")
    client.transition_model_version_stage(NAME, "2", "Staging", archive_existing_versions=True)
    stages = {str(v.version): v.current_stage for v in client.search_model_versions(f"name = '{NAME}'")}
    check(stages == {"1": "Archived", "2": "Staging"}, stages)


@step()
def what_holds_a_governed_place_is_neither_deleted_nor_renamed() -> None:
    # The model held both places before the policy was bound to it.
    holder = os.environ["JOURNEY_HOLDER"]
    check(client.get_model_version_by_alias(holder, "champion").current_stage == "Production")
    with refused("PERMISSION_DENIED", "Production"):
        client.delete_registered_model(holder)
    with refused("PERMISSION_DENIED"):
        client.delete_model_version(holder, "1")
    with refused("PERMISSION_DENIED"):
        client.rename_registered_model(holder, f"{PREFIX}.free")
    with refused("PERMISSION_DENIED"):
        client.set_registered_model_alias(holder, "champion", "2")
    with refused("PERMISSION_DENIED"):
        client.transition_model_version_stage(holder, "2", "Production", archive_existing_versions=True)
    stages = {str(v.version): v.current_stage for v in client.search_model_versions(f"name = '{holder}'")}
    check(stages == {"1": "Production", "2": "None"}, stages)
    check(str(client.get_model_version_by_alias(holder, "champion").version) == "1")


@step()
def an_outsider_finds_nothing_and_a_wrong_token_is_told() -> None:
    with acting_as("mallory"):
        for name in (NAME, f"{NAME}.absent"):
            with refused("RESOURCE_DOES_NOT_EXIST"):
                client.get_registered_model(name)
            with refused("RESOURCE_DOES_NOT_EXIST"):
                client.transition_model_version_stage(name, "1", "Staging")
        check(client.search_registered_models() == [] and client.search_model_versions("") == [])
        with refused("PERMISSION_DENIED"):
            client.create_registered_model(f"{PREFIX}.mine")
    with acting_as("nobody"), refused("UNAUTHENTICATED"):
        client.search_registered_models()
