"""Policies: their texts and changes, where they are in force, and what a draft would have changed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import access
from core.access import Permission
from governance import queries
from governance.commands import policies as commands
from interfaces.web import register_forms
from interfaces.web.acting import posted
from interfaces.web.errors import Problem
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import documents
from interfaces.web.pages import policies as present
from workflows.queries import simulation

_BINDING = """\
kind: Binding
name: {name}
policy: {policy}
mode: shadow
match:
  models: ["*"]
targets:
  stages: [Production]
"""
_PARAMETERS = """\
kind: Parameters
name: {name}
policy: {policy}
values: {{}}
"""


@require_safe
@page
def policies(request: PageRequest) -> HttpResponse:
    """Show every policy with its revisions and where it is in force."""
    shown = [present.policy(row) for row in queries.policies(request.actor)]
    context = {
        "nav": "policies",
        "policies": shown,
        "may_publish": request.actor.grants(Permission.POLICY_PUBLISH),
        "reads_keys": request.actor.grants(Permission.AUDIT_READ),
    }
    return render(request, "policies/list.html", context)


@require_safe
@page
def policy(request: PageRequest, name: str) -> HttpResponse:
    """Show one policy: a revision's text or what changed since another, its bindings, parameters and other revisions."""
    return _policy(request, name)


def _policy(request: PageRequest, name: str, status: int = 200, **sent: Any) -> HttpResponse:
    actor = request.actor
    shown = present.policy(
        queries.policy(actor, name),
        revision=_number(request, "revision"),
        against=_number(request, "against"),
        bindings=queries.bindings(actor, past=True),
        parameters=queries.parameters(actor),
    )
    context = {
        "nav": "policies",
        "policy": shown,
        "may_publish": actor.grants(Permission.POLICY_PUBLISH),
        "may_simulate": _may_simulate(request),
        **sent,
    }
    return render(request, "policies/policy.html", context, status=status)


@require_safe
@page
def request_states(request: PageRequest) -> HttpResponse:
    """Show how a request moves from state to state."""
    return render(request, "policies/states.html", {"nav": "policies", "diagram": present.diagram()})


# Writing.


@require_http_methods(["GET", "HEAD", "POST"])
@page
def publish(request: PageRequest) -> HttpResponse:
    """Publish a policy's text as its next revision; ``policy`` in the query begins with the text it has."""
    actor, name = request.actor, request.GET.get("policy", "")
    access.require(actor, Permission.POLICY_PUBLISH)

    def text() -> str:
        revisions = queries.policy(actor, name).revisions if name else []
        return revisions[0].document if revisions else ""

    def said(made: commands.Published) -> str:
        warned = f" Mind: {'; '.join(made.warnings)}." if made.warnings else ""
        return f"{made.revision} is the newest revision. Requests that are open keep the one they pinned.{warned}"

    return _written(
        request,
        text,
        lambda given: commands.publish_policy(actor=actor, document=given["document"]),
        said=said,
        to=lambda made: redirect("web:policy", made.revision.policy.name),
        words={
            "title": f"Publish {name} anew" if name else "Publish a policy",
            "note": "The text as YAML. Requests that are open keep the revision they pinned until they are moved.",
            "button": "Publish the policy",
            "back": name,
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page
def bind(request: PageRequest) -> HttpResponse:
    """Put a policy in force as a binding document says."""
    actor, name = request.actor, request.GET.get("policy", "")
    access.require(actor, Permission.POLICY_PUBLISH)
    return _written(
        request,
        lambda: _BINDING.format(name=name or "my-models", policy=name or "my-policy"),
        lambda given: commands.bind_policy(actor=actor, document=given["document"]),
        said=lambda made: f"The binding {made.name} is in force from {made.valid_from:%Y-%m-%d %H:%M} UTC on, as {made.mode}.",
        to=lambda made: redirect("web:policy", made.policy.name),
        words={
            "title": f"Bind {name}" if name else "Bind a policy",
            "note": "Which models and places it guards, whether it enforces, warns or only looks on, and since when. "
            "A binding of the same name ends where this one begins.",
            "button": "Put the binding in force",
            "back": name,
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page
def parameters(request: PageRequest) -> HttpResponse:
    """Publish the values of named parameters; the bindings that go by the name begin anew with them."""
    actor, name = request.actor, request.GET.get("policy", "")
    access.require(actor, Permission.POLICY_PUBLISH)
    return _written(
        request,
        lambda: _PARAMETERS.format(name=f"{name or 'my'}-values", policy=name or "my-policy"),
        lambda given: commands.publish_parameters(actor=actor, document=given["document"]),
        said=lambda made: f"{made.name} v{made.number} is published. The bindings that go by it begin anew with its values.",
        to=lambda made: redirect("web:policy", made.policy.name),
        words={
            "title": f"Publish parameters of {name}" if name else "Publish parameters",
            "note": "Values under a name, which bindings go by. The bindings of that name begin anew with them.",
            "button": "Publish the parameters",
            "back": name,
        },
    )


@require_POST
@page
def binding_end(request: PageRequest, name: str) -> HttpResponse:
    """Take a binding out of force, and take back one that is to come."""
    actor, policy_name = request.actor, request.POST.get("policy", "")
    return posted(
        request,
        register_forms.Empty(request.POST),
        lambda _: commands.end_binding(actor=actor, name=name),
        said=f"The binding {name} is out of force. What it was stays on record.",
        to=lambda _: redirect("web:policy", policy_name) if policy_name else redirect("web:policies"),
        again=lambda *, status, form, problem: _policy(request, policy_name, status, problem=problem),
    )


# Trying.


@require_http_methods(["GET", "HEAD", "POST"])
@page
def simulate(request: PageRequest, name: str) -> HttpResponse:
    """Judge past requests anew under a draft; a POST carries the draft, and changes nothing."""
    actor = request.actor
    found = queries.policy(actor, name)
    if request.method != "POST":
        newest = found.revisions[0].document if found.revisions else ""
        form = register_forms.Draft(initial={"document": newest, "days": simulation.DAYS})
        return _simulated(request, name, form)
    form = register_forms.Draft(request.POST)
    result: list[present.Dry] = []

    def run(given: dict[str, Any]) -> simulation.Simulation:
        judged = simulation.simulate(
            actor,
            name=name,
            document=given["document"],
            days=given["days"],
            parameters=given["parameters"],
            every=given["every"],
        )
        result.append(present.dry(judged))
        return judged

    # Nothing is changed, so there is nothing to go on to: the answer is the result itself.
    return posted(
        request,
        form,
        run,
        said="",
        to=lambda _: _simulated(request, name, form, dry=result[0]),
        again=lambda *, status, form, problem: _simulated(request, name, form, status, problem=problem),
    )


def _simulated(
    request: PageRequest, name: str, form: forms.Form, status: int = 200, problem: Problem | None = None, **more: Any
) -> HttpResponse:
    context = {
        "nav": "policies",
        "name": name,
        "form": form,
        "problem": problem,
        "source": documents.source(form, problem),
        "may_simulate": _may_simulate(request),
        **more,
    }
    return render(request, "policies/simulate.html", context, status=status)


# What these views share.


def _written(request: PageRequest, text: Any, command: Any, *, said: Any, to: Any, words: dict[str, str]) -> HttpResponse:
    """Show a document to write, or take one that was written. words: what the page calls what is done."""

    def again(*, status: int, form: forms.Form, problem: Problem | None) -> HttpResponse:
        context = {"form": form, "problem": problem, "source": documents.source(form, problem), "words": words}
        return render(request, "policies/write.html", {"nav": "policies", **context}, status=status)

    if request.method != "POST":
        return again(status=200, form=register_forms.Document(initial={"document": text()}), problem=None)
    return posted(request, register_forms.Document(request.POST), command, said=said, to=to, again=again)


def _number(request: HttpRequest, name: str) -> int | None:
    given = request.GET.get(name, "")
    return int(given) if given.isdigit() else None


def _may_simulate(request: PageRequest) -> bool:
    rights = (Permission.PROMOTION_REVIEW, Permission.POLICY_PUBLISH, Permission.AUDIT_READ)
    return any(request.actor.grants(right) for right in rights)
