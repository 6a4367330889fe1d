"""The frame: who is let in, what is found, and how failures look."""

from __future__ import annotations

import pytest

from core.models import AuditEvent
from interfaces.mlflow import dispatch
from interfaces.mlflow.routing import Route, RouteTable
from tests.cast import bearer


def test_two_routes_cannot_claim_one_address() -> None:
    route = Route(("GET", "POST"), "mlflow/x", print)
    with pytest.raises(ValueError, match=r"POST /api/2\.0/mlflow/x"):
        RouteTable([route, Route("POST", "mlflow/x", print)])


def test_parameters_are_read_from_the_path() -> None:
    table = RouteTable([Route("GET", "mlflow/m/{model_id}/tags/{key}", print), Route("PUT", "files/<path>", print)])
    assert table.find("/ajax-api/2.0/mlflow/m/m-1/tags/k", "GET")[1] == {"model_id": "m-1", "key": "k"}
    assert table.find("/api/2.0/files/a/b c", "PUT")[1] == {"path": "a/b c"}
    assert table.find("/api/3.0/files/a", "PUT") == ({}, {})


@pytest.mark.django_db
def test_without_a_token_everything_but_the_greeting_is_401(client) -> None:
    assert client.get("/version").content == b"3.17.2"
    assert client.get("/api/3.0/mlflow/server-info").json()["workspaces_enabled"] is False
    for headers in ({}, {"HTTP_AUTHORIZATION": "Bearer cs_wrong"}):
        refused = client.get("/api/2.0/mlflow/no-such-endpoint", **headers)
        assert refused.status_code == 401
        assert refused.json()["error_code"] == "UNAUTHENTICATED"
        assert "Bearer" in refused["WWW-Authenticate"]


def test_an_unknown_path_is_404_and_a_wrong_method_405(client, dana) -> None:
    head = bearer(dana)
    assert client.get("/api/2.0/mlflow/no-such-endpoint", **head).json()["error_code"] == "ENDPOINT_NOT_FOUND"
    assert client.get("/api/2.0/mlflow/server-info", **head).status_code == 404, "declared with 3.0 only"
    wrong = client.post("/api/3.0/mlflow/server-info", **head)
    assert (wrong.status_code, wrong["Allow"]) == (405, "GET, HEAD")


def test_a_fixed_address_leaves_other_methods_to_the_parameter_it_could_be(client, dana) -> None:
    head, at = bearer(dana), "/api/2.0/mlflow/logged-models/search"
    answers = [client.generic(method, at, "{}", content_type="application/json", **head) for method in ("GET", "PATCH", "DELETE")]
    assert [answer.status_code for answer in answers] == [404, 400, 404]
    assert client.put(at, "{}", content_type="application/json", **head).status_code == 405
    options = client.options(at, **head)
    assert (options.status_code, options["Allow"]) == (204, "POST")


def test_a_head_is_answered_where_a_get_is_without_a_body(client, dana) -> None:
    head, info = bearer(dana), "/api/3.0/mlflow/server-info"
    bare = client.head(info)
    assert (bare.status_code, bare["Content-Length"]) == (200, str(len(client.get(info).content)))
    assert client.head("/version")["Content-Length"] == "6"
    assert client.head("/api/2.0/mlflow/runs/create", **head).status_code == 405
    assert client.head("/api/2.0/mlflow/nowhere", **head).status_code == 404
    assert client.head("/api/2.0/mlflow/runs/get?run_id=x").status_code == 401
    assert client.head("/api/2.0/mlflow/logged-models/m-0", **head).status_code == 404
    assert client.head("/api/2.0/mlflow/experiments/get", {"experiment_id": "0"}, **head).status_code == 400, "as there"


def test_an_unexpected_failure_tells_nothing_of_itself(client, dana, monkeypatch) -> None:
    def broken(actor):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(dispatch, "TABLE", RouteTable([Route("GET", "mlflow/broken", broken)]))
    answer = client.get("/api/2.0/mlflow/broken", **bearer(dana))
    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in answer.content.decode()


def test_a_refusal_of_right_is_recorded_after_the_rollback(client, dana, monkeypatch) -> None:
    from core.errors import Denied, NotFound

    def raising(error):
        def view(actor):
            raise error

        return view

    routes = [
        Route("GET", "mlflow/denied", raising(Denied("Not this."))),
        Route("GET", "mlflow/none", raising(NotFound("Nothing."))),
    ]
    monkeypatch.setattr(dispatch, "TABLE", RouteTable(routes))
    head = bearer(dana)
    assert client.get("/api/2.0/mlflow/none", **head).status_code == 404
    assert not AuditEvent.objects.filter(action="access.refused").exists()
    assert client.get("/api/2.0/mlflow/denied", **head).status_code == 403
    assert AuditEvent.objects.get(action="access.refused").actor == "dana"


def test_a_nul_in_path_or_query_is_refused_whatever_the_route(client, dana) -> None:
    """PostgreSQL cannot be asked for one."""
    head = bearer(dana)
    for address in (
        "/api/2.0/mlflow/logged-models/%00",
        "/api/2.0/mlflow/runs/get?run_id=%00",
        "/get-artifact?run_id=%00&path=a",
        "/model-versions/get-artifact?name=%00&version=1&path=a",
        "/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id=%00&metric_key=a",
        "/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id=a&metric_key=%00",
        "/api/2.0/mlflow-artifacts/artifacts/a%00b",
    ):
        answer = client.get(address, **head)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), address
    assert client.delete("/api/2.0/mlflow/logged-models/m-1/tags/%00", **head).status_code == 400


def test_a_query_with_too_many_fields_is_refused(api) -> None:
    query = "&".join(f"stages={at}" for at in range(1001))
    assert "too many fields" in api.get(f"/api/2.0/mlflow/registered-models/get-latest-versions?name=x&{query}", 400)["message"]
