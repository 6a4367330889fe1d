"""The API's own page works offline and under its content policy."""

from __future__ import annotations


def test_the_api_page_lists_operations_and_asks_no_other_server(opened, scene, sign_in, dana, live_server) -> None:
    page = opened()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, dana)
    page.goto("/api/v1/docs/")
    page.locator(".opblock-tag").first.wait_for(timeout=30_000)
    assert [url for url in asked if not url.startswith((live_server.url, "data:", "blob:"))] == []
