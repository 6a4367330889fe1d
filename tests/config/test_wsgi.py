"""What the application server is given, before Django's own handling begins."""

from __future__ import annotations

import io
from typing import Any

import pytest

from config.wsgi import application


def environ(query: str, content_type: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/version",
        "QUERY_STRING": query,
        "CONTENT_TYPE": content_type,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
    }


@pytest.mark.django_db  # the end of a request looks at the connection
@pytest.mark.parametrize(
    ("content_type", "status"), [("application/json", "200 OK"), ("application/json; charset=utf-8", "400 Bad Request")]
)
def test_a_query_with_too_many_fields_is_no_failure(content_type: str, status: str) -> None:
    """Django reads the query while it makes the request if the content's type names a charset, where it catches nothing."""
    told: list[str] = []
    for query in ("a=1&" * 3000, "a=1"):
        assert b"".join(application(environ(query, content_type), lambda said, headers: told.append(said)))
    assert told == [status, "200 OK"]
