"""Every event is explained to whom asks, in the words of the page of events."""

from __future__ import annotations

import re

from config.environment import BASE_DIR
from core.audit import Event
from webhooks import catalogue


def test_every_event_means_what_the_page_says() -> None:
    page = (BASE_DIR / "docs" / "audit-events.md").read_text()
    told = dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.*?) \|$", page, re.MULTILINE))
    assert {event.value: meaning for event, meaning in catalogue.MEANINGS.items()} == told
    assert set(catalogue.MEANINGS) == set(Event)


def test_patterns_ask_for_names_beginnings_or_everything() -> None:
    assert catalogue.wants(["promotion.approved"], "promotion.approved")
    assert not catalogue.wants(["promotion.approved"], "promotion.approve")
    assert catalogue.wants(["model.*", "run.created"], "model.deleted")
    assert not catalogue.wants(["model.*"], "logged_model.created")
    assert catalogue.wants(["*"], "anything.at_all") and not catalogue.wants([], "model.created")


def test_a_test_is_no_event_of_the_ledger() -> None:
    assert catalogue.TEST_TYPE.removeprefix(catalogue.TYPE_PREFIX) not in set(Event)
