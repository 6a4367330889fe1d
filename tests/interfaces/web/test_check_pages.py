"""The page of a check run: what it shows while the run goes on, cancelling it, and what is left when it has ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from core.models import User
from governance.commands import checks as check_commands
from governance.models import CheckRun
from tests.workflows.conftest import World, build

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


@pytest.fixture
def world(dana: User, pat: User) -> World:
    return build(dana, pat)


def begun(world: World) -> CheckRun:
    """Return a run that a worker is at."""
    world.ask(world.version())
    run = CheckRun.objects.get()
    check_commands.start_check(run_id=str(run.pk), worker="w", isolation="bubblewrap")
    check_commands.report_progress(run_id=str(run.pk), worker="w", done=0.4, text="Scoring <data>", log="warning: <slow>")
    return run


def test_a_run_shows_how_far_it_is_and_what_it_prints(world: World, ravi: User, signed_in: Browser) -> None:
    run = begun(world)
    shown = signed_in(ravi).get(f"/check-runs/{run.pk}/").content.decode()
    for each in ("Running", "Scoring &lt;data&gt;", "warning: &lt;slow&gt;", 'hx-trigger="every 2s"', "40% done"):
        assert each in shown, each
    live = signed_in(ravi).get(f"/check-runs/{run.pk}/progress")
    assert "Scoring" in live.content.decode() and "HX-Refresh" not in live.headers


def test_who_asked_cancels_it_and_the_page_is_read_anew(world: World, dana: User, ravi: User, signed_in: Browser) -> None:
    run = begun(world)
    refused = signed_in(ravi).post(f"/check-runs/{run.pk}/cancel")
    assert refused.status_code == 403 and CheckRun.objects.get().state == "running"
    assert signed_in(dana).post(f"/check-runs/{run.pk}/cancel").status_code == 302
    assert CheckRun.objects.get().state == "cancelled"
    assert signed_in(ravi).get(f"/check-runs/{run.pk}/progress").headers["HX-Refresh"] == "true"
    ended = signed_in(dana).get(f"/check-runs/{run.pk}/").content.decode()
    assert "dana cancelled it" in ended and "Cancel the run" not in ended and "warning: &lt;slow&gt;" in ended
    again = signed_in(dana).post(f"/check-runs/{run.pk}/cancel")
    assert again.status_code == 409 and "has ended" in again.content.decode()


def test_what_one_may_not_see_cannot_be_cancelled(world: World, mallory: User, signed_in: Browser) -> None:
    run = begun(world)
    assert signed_in(mallory).post(f"/check-runs/{run.pk}/cancel").status_code == 404
