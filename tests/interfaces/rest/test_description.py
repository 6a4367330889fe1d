"""The API's description of itself, and the page that shows it without asking anyone else."""

from __future__ import annotations

import json
import re
from io import StringIO

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver

from interfaces.reports import urls as reports
from interfaces.rest import urls
from tests.cast import bearer


def test_the_schema_is_made_without_a_warning_and_is_valid_openapi() -> None:
    out = StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", "--format", "openapi-json", stdout=out)
    schema = json.loads(out.getvalue())
    assert schema["openapi"] == "3.1.0"
    described = {re.sub(r"\{\w+\}", "{}", path.removeprefix("/api/v1/")) for path in schema["paths"]}
    own = {
        re.sub(r"<[^>]+>", "{}", str(p.pattern))
        for p in [*urls.urlpatterns, *reports.API]
        if p.name not in ("schema", "docs", "no-such-address")
    }
    assert described == own
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            assert "application/problem+json" in answers["default"]["content"], (method, path)
            good = next(answer for code, answer in answers.items() if code.startswith("2"))
            assert "content" in good or "204" in answers, f"{method} {path} does not say what it answers"
    request = schema["components"]["schemas"]["RequestRow"]
    assert request["properties"]["created_at"] == {"type": "string", "format": "date-time"} and "state" in request["required"]


@pytest.mark.django_db
def test_what_is_answered_fits_the_description(api, dana, ravi, world) -> None:
    import jsonschema

    world.in_review()
    schema = api(dana).get("schema/").json()
    checked = 0
    for path, operations in schema["paths"].items():
        answer = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get("application/json")
        if answer is None or "{id}" in path:
            continue
        real = path.format(
            name="credit.risk",
            number=1,
            request_id=1,
            prefix="x",
            alias="champion",
            event_id=1,
            run_id="",
            decision_id="",
            key_id="",
        )
        if "policies/" in real or "bindings/" in real:
            real = real.replace("credit.risk", "credit")
        reply = api(ravi).get(real, **({"node": "model_version:credit.risk/1"} if "lineage" in real else {}))
        if reply.status_code != 200:
            continue
        jsonschema.Draft202012Validator({**answer["schema"], "components": schema["components"]}).validate(reply.json())
        checked += 1
    assert checked >= 25


@pytest.mark.django_db
def test_the_schema_is_served_as_json_and_as_yaml_to_whom_is_signed_in(dana) -> None:
    client = Client()
    assert client.get("/api/v1/schema/").status_code == 401
    assert client.get("/api/v1/schema/", **bearer(dana)).json()["info"]["title"] == "Countersign"
    answer = client.get("/api/v1/schema/", headers={"Accept": "application/yaml"}, **bearer(dana))
    assert answer.content.startswith(b"openapi: 3.1.0")


@pytest.mark.django_db
def test_the_page_loads_only_files_of_this_server_under_its_policy(dana) -> None:
    client = Client()
    client.force_login(dana)
    page = client.get("/api/v1/docs/")
    html = page.content.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(addresses) == 5 and all(a.startswith("/") and not a.startswith("//") for a in addresses)
    assert "<script>" not in html
    for address in addresses:
        if address.startswith("/static/"):
            assert finders.find(address.removeprefix("/static/")), address
    policy = page["Content-Security-Policy"]
    assert "script-src 'self';" in policy and "http" not in policy
    script = client.get(next(a for a in addresses if "script" in a))
    assert script["Content-Type"].startswith("application/javascript") and b"/api/v1/schema/" in script.content


def test_the_api_stands_below_its_prefix() -> None:
    assert get_resolver().resolve("/api/v1/me/").namespace == "rest"
