"""Experiments over the protocol: which there are, and where each keeps its files."""

from __future__ import annotations


def test_an_experiment_that_cannot_be_is_absent(api) -> None:
    for number in ("-1", "99999999999999999999"):
        api.get("experiments/get", 404, experiment_id=number)
    api.get("experiments/get", 400, experiment_id="one")


def test_a_location_is_kept_as_it_was_given(api) -> None:
    made = api.post("experiments/create", {"name": "elsewhere", "artifact_location": "s3://bucket/x/"})
    assert api.get("experiments/get", **made)["experiment"]["artifact_location"] == "s3://bucket/x/"
    assert "//" not in api.post("runs/create", made)["run"]["info"]["artifact_uri"].removeprefix("s3://")
