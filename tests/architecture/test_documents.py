"""What an operator or auditor can meet has its line in the docs, and the docs name nothing that is gone."""

from __future__ import annotations

import re

import pytest

from config.environment import BASE_DIR, VARIABLES
from core.access import Permission
from core.audit import Event
from scripts.document import REQUESTS, SETTINGS, requests_page, settings_page

EVENTS_PAGE = BASE_DIR / "docs" / "audit-events.md"


def _rows(text: str) -> dict[str, list[str]]:
    """Return the rows of the tables in a page whose first cell is a name in code style."""
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def test_the_page_of_settings_is_what_the_code_says() -> None:
    assert SETTINGS.read_text() == settings_page(), "run `make docs`"
    assert list(_rows(settings_page())) == [variable.name for variable in VARIABLES]


def test_the_states_of_a_request_are_drawn_as_the_code_has_them() -> None:
    assert REQUESTS.read_text() == requests_page(REQUESTS.read_text()), "run `make docs`"
    assert "approved --> executing: started" in REQUESTS.read_text()


@pytest.mark.parametrize("names", [[event.value for event in Event], [permission.value for permission in Permission]])
def test_every_event_and_permission_is_explained_and_nothing_else(names: list[str]) -> None:
    mark = ":" if ":" in names[0] else "."
    explained = {name: cells for name, cells in _rows(EVENTS_PAGE.read_text()).items() if mark in name}
    assert list(explained) == names, "docs/audit-events.md: same names, same order as the enum"
    assert all(cells[-1].strip() for cells in explained.values())


def test_every_setting_the_containers_are_given_exists() -> None:
    given = set(re.findall(r"\$\{([A-Z_0-9]+)", (BASE_DIR / "docker-compose.yml").read_text()))
    known = {variable.name for variable in VARIABLES}
    assert given - known == {"POSTGRES_PASSWORD", "PORT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*BASE_DIR.glob("*.md"), *(BASE_DIR / "docs").rglob("*.md"), BASE_DIR / "demo" / "data" / "README.md"]
    dead = [
        f"{page.relative_to(BASE_DIR)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists()
    ]
    assert len(pages) > 5 and dead == []
