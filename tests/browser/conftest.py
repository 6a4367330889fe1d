"""Chromium against the live server. The browser is Debian's; without it these tests are skipped, and say so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from core.models import User
from tests.interfaces.web.conftest import PASSWORD, Scene, build

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[Any]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM.exists():
                item.add_marker(pytest.mark.skip(reason=f"{CHROMIUM} is not installed: apt-get install chromium"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    # Playwright's synchronous client runs an event loop in this thread, in which Django would refuse the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def scene(transactional_db: None, live_server: Any, dana: User, ravi: User, rosa: User, aude: User, pat: User) -> Scene:
    return build({"dana": dana, "ravi": ravi, "rosa": rosa, "aude": aude, "pat": pat})


@pytest.fixture
def opened(chromium: Browser, live_server: Any) -> Iterator[Callable[..., Page]]:
    """Return a window on the live server; anything the console calls an error fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def window(width: int = 1440, height: int = 900, theme: str = "light", **options: Any) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, base_url=live_server.url, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield window
    for context in contexts:
        context.close()
    # A refusal answers 4xx, which the console reports as a failed resource; what fails the test is script and policy.
    assert [text for text in complaints if "Failed to load resource" not in text] == []


@pytest.fixture
def sign_in() -> Callable[[Page, User], None]:
    def act(page: Page, user: User) -> None:
        page.goto("/sign-in")
        page.get_by_label("Account name").fill(user.username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/sign-in" not in url)

    return act
