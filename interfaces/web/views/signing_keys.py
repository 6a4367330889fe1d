"""The public keys that reports of service accounts are verified with: register them, end them, and see what they signed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from core import access
from core.access import Permission
from core.audit import Event
from core.models import User
from governance import queries, reported
from governance.commands import signing_keys as commands
from interfaces.web import register_forms
from interfaces.web.acting import posted
from interfaces.web.errors import Problem
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import signing_keys as present

_SIGNED = 50
# What a refusal to register a key is about.
_FIELDS = {"unsupported_key": "public_key", "already_exists": "public_key", "not_found": "owner", "never_valid": "valid_to"}


@require_http_methods(["GET", "HEAD", "POST"])
@page
def signing_keys(request: PageRequest) -> HttpResponse:
    """Show the keys, newest first; a POST registers one."""
    actor = request.actor
    access.require(actor, Permission.AUDIT_READ)
    if request.method != "POST":
        return _keys(request)
    form = register_forms.NewSigningKey(request.POST)
    return posted(
        request,
        form,
        lambda _: commands.register_key(actor=actor, **form.asked()),
        said=lambda made: f"The key {made.name} is registered. Reports that {made.owner.username} signs with it are verified.",
        to=lambda made: redirect("web:signing-key", made.key_id),
        again=lambda *, status, form, problem: _keys(request, status, form=form, problem=problem),
        at=_FIELDS,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page
def signing_key(request: PageRequest, key_id: str) -> HttpResponse:
    """Show one key with what it signed; a POST ends it."""
    actor = request.actor
    if request.method != "POST":
        return _key(request, key_id)
    return posted(
        request,
        register_forms.Revocation(request.POST),
        lambda given: commands.revoke_key(actor=actor, key_id=key_id, **given),
        said="Revoked. Nothing that is signed with it is taken any more; what it signed before stays, and says so.",
        to=lambda _: redirect("web:signing-key", key_id),
        again=lambda *, status, form, problem: _key(request, key_id, status, form=form, problem=problem),
    )


def _keys(
    request: PageRequest, status: int = 200, form: forms.Form | None = None, problem: Problem | None = None
) -> HttpResponse:
    actor = request.actor
    may_manage = actor.grants(Permission.ACCOUNT_MANAGE)
    accounts = User.objects.filter(is_service=True).order_by("username").values_list("username", flat=True)
    context = {
        "lines": [present.key_line(row) for row in reported.signing_keys(actor, now=timezone.now())],
        "form": (form or register_forms.NewSigningKey()) if may_manage else None,
        "problem": problem,
        "accounts": list(accounts[:200]) if may_manage else (),
    }
    return _shown(request, "signing_keys/list.html", context, status)


def _key(request: PageRequest, key_id: str, status: int = 200, **sent: Any) -> HttpResponse:
    actor = request.actor
    row = reported.signing_key(actor, key_id, now=timezone.now())
    ended = queries.audit_events(actor, action=Event.SIGNING_KEY_REVOKED, subject=f"signing_key:{key_id}", limit=1)
    signed = reported.signed_with(actor, key_id, limit=_SIGNED + 1)
    context = {
        "line": present.key_line(row),
        "row": row,
        "revoked": present.revoked(ended),
        "signed": signed[:_SIGNED],
        "more": len(signed) > _SIGNED,
        "may_revoke": actor.grants(Permission.ACCOUNT_MANAGE) and row.revoked_at is None,
        "form": register_forms.Revocation(),
        **sent,
    }
    return _shown(request, "signing_keys/key.html", context, status)


def _shown(request: PageRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    return render(request, template, {"nav": "policies", **context}, status=status)
