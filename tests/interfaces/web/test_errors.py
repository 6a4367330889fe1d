"""A refusal, a stale form and a failure each get a page in the same look, and a failure asks the database nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, RequestFactory

from core.errors import Blocked, Conflict, Denied, Invalid, NotFound
from interfaces.web import errors
from tests.interfaces.web.conftest import PASSWORD, Scene


def test_a_failure_is_told_without_the_database() -> None:
    # No database mark: a statement would fail this test.
    request: Any = RequestFactory().get("/models/")
    request.request_id = "req-0123456789"
    answer = errors.failed(request)
    page = answer.content.decode()
    assert answer.status_code == 500 and "Nothing was recorded" in page and "req-0123456789" in page and "countersign.css" in page


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (NotFound("No such model."), 404, "Not found"),
        (Denied("Not yours."), 403, "You may not do this"),
        (Conflict("It moved."), 409, "This changed meanwhile"),
        (Invalid("No sense."), 400, "This cannot be done as asked"),
        (Blocked("Governed.", requirements=[{"title": "ROC AUC"}], ask_at="/x"), 409, "A policy does not allow this"),
    ],
)
def test_each_kind_of_refusal_has_its_status_and_title(error: Any, status: int, title: str) -> None:
    found = errors.problem(error)
    assert (found.status, found.title, found.message) == (status, title, error.message)
    assert found.unmet == (("ROC AUC",) if isinstance(error, Blocked) else ())


@pytest.mark.django_db
def test_a_form_that_is_too_old_says_so_and_does_nothing(scene: Scene) -> None:
    browser = Client(enforce_csrf_checks=True)
    answer = browser.post("/sign-in", {"username": "ravi", "password": PASSWORD})
    assert answer.status_code == 403 and "The form was too old" in answer.content.decode()
    assert "_auth_user_id" not in browser.session
