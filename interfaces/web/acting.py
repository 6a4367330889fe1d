"""What the forms of the registers share: run a command and go on, or show the page again with the refusal where one acted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from django import forms
from django.contrib import messages
from django.http import HttpResponse

from core.errors import DomainError
from interfaces.web import errors
from interfaces.web.errors import Problem
from interfaces.web.page import PageRequest

T = TypeVar("T")


class Again(Protocol):
    """Shows the page once more, with the form as it was sent."""

    def __call__(self, *, status: int, form: forms.Form, problem: Problem | None) -> HttpResponse: ...


def posted(
    request: PageRequest,
    form: forms.Form,
    command: Callable[[dict[str, Any]], T],
    *,
    said: str | Callable[[T], str],
    to: Callable[[T], HttpResponse],
    again: Again,
    at: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Run a command with what a form holds, say so and go on; else show the page again with what was wrong.

    said: what to tell when it is done, empty for nothing. to: where to go then. A refusal that names fields of the form is shown at them.
    at: the field that a refusal is about, by the refusal's code; it is shown there and nowhere else.
    """
    if not form.is_valid():
        return again(status=422, form=form, problem=None)
    try:
        made = command(form.cleaned_data)
    except DomainError as error:
        errors.record(request, error)
        problem = errors.problem(error)
        if at and error.code in at:
            form.add_error(at[error.code], error.message)
            return again(status=problem.status, form=form, problem=None)
        for field, text in dict(error.details.get("answers") or {}).items():
            if field in form.fields:
                form.add_error(field, f"{text[:1].upper()}{text[1:]}.")
        return again(status=problem.status, form=form, problem=problem)
    if told := said if isinstance(said, str) else said(made):
        messages.add_message(request, messages.SUCCESS, told, extra_tags="pass")
    return to(made)
