"""Logged models: made, filled and deleted."""

from __future__ import annotations

import pytest

from core.errors import Invalid, NotFound
from tracking import logged_models, queries
from tracking.models import LoggedModelStatus


def test_a_logged_model_lives_and_ends(dana_acts, experiment) -> None:
    model_id = logged_models.create_logged_model(actor=dana_acts, experiment_id=experiment, params={"p": "1"}, tags={"t": "x"})
    logged_models.finish_logged_model(actor=dana_acts, model_id=model_id, status=LoggedModelStatus.READY)
    logged_models.set_logged_model_tags(actor=dana_acts, model_id=model_id, tags={"t": "y"})
    logged_models.log_logged_model_params(actor=dana_acts, model_id=model_id, params={"q": "2"})
    with pytest.raises(Invalid):
        logged_models.log_logged_model_params(actor=dana_acts, model_id=model_id, params={"p": "3"})
    found = queries.logged_model(dana_acts, model_id)
    assert (found.status, [t.value for t in found.tags], sorted(p.key for p in found.params)) == (
        "LOGGED_MODEL_READY",
        ["y"],
        ["p", "q"],
    )
    for _ in range(2):
        logged_models.delete_logged_model(actor=dana_acts, model_id=model_id)
    with pytest.raises(NotFound):
        queries.logged_model(dana_acts, model_id)
    assert queries.logged_model(dana_acts, model_id, deleted_too=True).deleted_ms
