"""Talk about a request, anchored to what it is about. With htmx the discussion alone is answered, so that a form stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from core.access import Actor
from core.errors import DomainError, Invalid
from interfaces.web import errors, forms
from interfaces.web.page import PageRequest, page
from interfaces.web.views import requests as request_views
from workflows.commands import discussion as commands
from workflows.models import ThreadAnchor
from workflows.queries import requests as request_queries


@require_POST
@page
def begin(request: PageRequest, request_id: int) -> HttpResponse:
    """Begin a discussion on the request, or on a requirement, a measurement or a section of the card."""
    kind, _, anchor = request.POST.get("about", "").partition(":")

    def act(actor: Actor) -> None:
        about = kind or ThreadAnchor.REQUEST
        commands.open_thread(actor=actor, request_id=request_id, anchor_kind=about, anchor=anchor, text=_text(request))

    return _act(request, request_id, act)


@require_POST
@page
def reply(request: PageRequest, request_id: int, thread_id: int) -> HttpResponse:
    """Add to a discussion."""
    return _act(
        request,
        request_id,
        lambda actor: commands.add_comment(actor=actor, thread_id=thread_id, text=_text(request)),
        thread_id=thread_id,
    )


@require_POST
@page
def resolve(request: PageRequest, request_id: int, thread_id: int) -> HttpResponse:
    """Close a discussion."""
    return _act(request, request_id, lambda actor: commands.resolve_thread(actor=actor, thread_id=thread_id))


@require_POST
@page
def reopen(request: PageRequest, request_id: int, thread_id: int) -> HttpResponse:
    """Take a resolved discussion up again."""
    return _act(request, request_id, lambda actor: commands.reopen_thread(actor=actor, thread_id=thread_id))


@require_POST
@page
def edit(request: PageRequest, request_id: int, comment_id: int) -> HttpResponse:
    """Change one's own comment."""
    return _act(request, request_id, lambda actor: commands.edit_comment(actor=actor, comment_id=comment_id, text=_text(request)))


@require_POST
@page
def delete(request: PageRequest, request_id: int, comment_id: int) -> HttpResponse:
    """Take one's own comment out."""
    return _act(request, request_id, lambda actor: commands.delete_comment(actor=actor, comment_id=comment_id))


def _text(request: PageRequest) -> str:
    """Return what was written. Raises Invalid, as the commands do, without a text or with one that is too long."""
    form = forms.Say(request.POST)
    if not form.is_valid():
        raise Invalid(" ".join(str(error) for found in form.errors.values() for error in found))
    return str(form.cleaned_data["text"])


def _act(request: PageRequest, request_id: int, command: Callable[[Actor], object], *, thread_id: int = 0) -> HttpResponse:
    """Run a command; a refusal stands in the discussion, with what was written still in its form."""
    more: dict[str, Any] = {}
    status = 200
    try:
        command(request.actor)
    except DomainError as error:
        errors.record(request, error)
        found = errors.problem(error)
        status = found.status
        wrote = {"thread": thread_id, "about": request.POST.get("about", ""), "text": request.POST.get("text", "")}
        more = {"talk_problem": found, "wrote": wrote}
    if request.htmx:  # which swaps only answers that went well; the sentence itself is the refusal
        shown = request_queries.request_page(request.actor, request_id)
        context = {"review": request_views.presented(request.actor, shown), **more}
        return render(request, "requests/_discussion.html", context)
    if more:
        return request_views.show(request, request_id, status=status, **more)
    return HttpResponseRedirect(f"{reverse('web:request', args=[request_id])}#discussion")
