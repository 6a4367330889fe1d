"""Data sets: their versions, the contract that holds, how each version kept it, and what measures on them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from core import access
from core.access import Permission
from core.errors import NotFound
from governance import queries as governance_queries
from governance.dataset_uses import dataset_uses
from interfaces.web import register_forms
from interfaces.web.acting import posted
from interfaces.web.errors import Problem
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import datasets as present
from interfaces.web.pages import documents
from registry import dataset_contracts, lineage
from registry import datasets as queries

PAGE = 50
_VERSIONS = 100
_RUNS = 30
_EXAMPLE = """\
kind: DataContract
min_rows: 1
columns:
- {{name: {target}, type: number, nullable: false}}
"""


@require_safe
@page
def datasets(request: PageRequest) -> HttpResponse:
    """Show the data sets, by name."""
    query, after = request.GET.get("q", "").strip(), request.GET.get("after", "")
    found = queries.datasets(request.actor, text=query, after=after, limit=PAGE + 1)
    context = {
        "lines": [present.dataset_line(row) for row in found[:PAGE]],
        "query": query,
        "after": after,
        "older": found[PAGE - 1].name if len(found) > PAGE else "",
        "may_register": request.actor.grants(Permission.DATASET_REGISTER),
    }
    return _shown(request, "datasets/_list.html" if request.htmx else "datasets/list.html", context)


@require_safe
@page
def dataset(request: PageRequest, name: str) -> HttpResponse:
    """Show a data set: its versions, a revision of its contract or what changed since another, and what measures on it."""
    actor = request.actor
    row = queries.dataset(actor, name)
    revisions = dataset_contracts.contract_revisions(actor, name)
    runs = governance_queries.check_runs(actor).filter(dataset_version__dataset__name=name)[:_RUNS]
    known = lineage.known(present.node_key(version.reference) for version in row.versions[:_VERSIONS])
    context = {
        "row": row,
        "versions": [present.version_line(version, known) for version in row.versions[:_VERSIONS]],
        "left_out": max(0, len(row.versions) - _VERSIONS),
        "contract": present.contract_page(revisions, revision=_number(request, "revision"), against=_number(request, "against")),
        "uses": present.use_lines(dataset_uses(actor, name)) if actor.grants(Permission.POLICY_READ) else None,
        "runs": present.run_lines(runs),
        "may_publish": actor.grants(Permission.DATASET_REGISTER),
    }
    return _shown(request, "datasets/dataset.html", context)


@require_safe
@page
def version(request: PageRequest, name: str, number: int) -> HttpResponse:
    """Show a version: what it holds, how it kept the contract that held when it was registered, and what measured on it."""
    actor = request.actor
    row = queries.dataset(actor, name)
    found = next((each for each in row.versions if each.number == number), None)
    if found is None:
        raise NotFound(f"There is no data set '{name}@v{number}'.")
    met = found.keeps_contract is not None
    report = present.report_page(dataset_contracts.contract_report(actor, found.reference)) if met else None
    runs = governance_queries.check_runs(actor).filter(dataset_version=found.id)[:_RUNS]
    context = {
        "row": row,
        "version": found,
        "line": present.version_line(found, lineage.known([present.node_key(found.reference)])),
        "report": report,
        "columns": found.columns[: present.MOST_COLUMNS],
        "left_out": max(0, len(found.columns) - present.MOST_COLUMNS),
        "runs": present.run_lines(runs),
        "may_publish": actor.grants(Permission.DATASET_REGISTER),
    }
    return _shown(request, "datasets/version.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def contract(request: PageRequest, name: str) -> HttpResponse:
    """Publish a text as the next revision of the contract; ``draft`` in the query begins with what that version keeps."""
    actor = request.actor
    row = queries.dataset(actor, name)
    access.require(actor, Permission.DATASET_REGISTER)

    def again(*, status: int, form: forms.Form, problem: Problem | None) -> HttpResponse:
        context = {"row": row, "form": form, "problem": problem, "source": documents.source(form, problem)}
        return _shown(request, "datasets/contract.html", context, status)

    def text() -> str:
        drafted = _number(request, "draft")
        if drafted is not None:
            return dataset_contracts.contract_draft(actor, f"{name}@v{drafted}").document
        revisions = dataset_contracts.contract_revisions(actor, name)
        return revisions[0].document if revisions else _EXAMPLE.format(target=row.versions[0].target)

    if request.method != "POST":
        return again(status=200, form=register_forms.Document(initial={"document": text()}), problem=None)
    return posted(
        request,
        register_forms.Document(request.POST),
        lambda given: dataset_contracts.publish_contract(actor=actor, name=name, document=given["document"]),
        said=lambda made: f"Revision {made.number} is the contract of {name} for versions to come.",
        to=lambda _: redirect("web:dataset", name),
        again=again,
    )


def _number(request: HttpRequest, name: str) -> int | None:
    given = request.GET.get(name, "")
    return int(given) if given.isdecimal() and len(given) < 10 else None


def _shown(request: PageRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    return render(request, template, {"nav": "datasets", **context}, status=status)
