"""Data sets on pages: what there is, the contract and how each version kept it, and nothing of a closed one's values."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.documents import DocumentError, Mistake
from core.models import User
from governance.commands.policies import bind_policy
from registry.dataset_contracts import publish_contract
from registry.datasets import register_dataset
from registry.models import DataContract
from tests.cast import actor, person
from tests.interfaces.web.conftest import MODEL, POLICIES, Scene
from tests.interfaces.web.test_pages import text

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]

CONTRACT = """\
kind: DataContract
min_rows: 2
other_columns: refused
columns:
- {name: age, type: integer, nullable: false, min: 18, max: 120}
- {name: income, type: number, max_missing: 0.05, min: 0.5}
- {name: applied, type: datetime, max: 2026-01-31T12:00:00Z}
- {name: town, type: string, pattern: '[a-z]+', unique: true}
- {name: y, type: integer, allowed: [0, 1]}
"""
GOOD = "age,income,applied,town,y\n30,10,2025-01-01,rome,1\n40,20,2025-01-02,bern,0\n"
BAD = f"{GOOD}17,30,2025-01-03,oslo,1\n12,40,2025-01-04,riga,7\n"
PAGE = "/datasets/loans%202026/"


def registered(who: User, content: str, name: str = "loans 2026", **given: Any) -> None:
    register_dataset(
        actor=actor(who),
        name=name,
        stream=io.BytesIO(content.encode()),
        format="csv",
        target="y",
        **given,
    )


@pytest.fixture
def loans(scene: Scene) -> None:
    """A data set with a version without a contract, one that keeps it and one that breaks it."""
    registered(scene.pat, GOOD, description="One quarter's <b>applications</b>.")
    publish_contract(actor=actor(scene.pat), name="loans 2026", document=CONTRACT)
    registered(scene.pat, f"{GOOD}50,30,2025-01-03,oslo,1\n")
    registered(scene.pat, BAD, contract="warn")


def cells(page: str, label: str) -> list[str]:
    """Return what stands in the cells of this label, as words."""
    found = re.findall(rf'data-l="{label}"[^>]*>(.*?)</td>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in found]


def test_the_list_is_searched_and_paged(scene: Scene, loans: None, signed_in: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    dana = signed_in(scene.dana)
    page = text(dana.get("/datasets/"))
    assert 'href="/datasets/german-credit-validation/"' in page and f'href="{PAGE}"' in page
    assert cells(page, "Content") == ["Closed", "Open"] and cells(page, "Contract") == ["None", "Broken"]
    assert cells(page, "Rows") == ["2", "4"] and cells(page, "Versions") == ["1", "3"]
    assert "&lt;b&gt;applications" in page and "<b>applications" not in page
    found = text(dana.get("/datasets/?q=LOANS"))
    assert PAGE in found and "german-credit-validation" not in found
    none = text(dana.get("/datasets/?q=no-such"))
    assert "No data set matches" in none and "Name contains “no-such”." in none
    monkeypatch.setattr("interfaces.web.views.datasets.PAGE", 1)
    first = text(dana.get("/datasets/?q=a"))
    assert "german-credit-validation" in first and PAGE not in first
    (following,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = text(dana.get(f"/datasets/{following.replace('&amp;', '&')}"))
    assert PAGE in second and "german-credit-validation/" not in second and 'rel="next"' not in second
    part = text(dana.get("/datasets/", HTTP_HX_REQUEST="true"))
    assert part.startswith('<div id="datasets">') and "<html" not in part


def test_a_data_set_shows_its_versions_and_what_the_contract_asks_in_words(scene: Scene, loans: None, signed_in: Browser) -> None:
    page = text(signed_in(scene.ravi).get(PAGE))
    assert cells(page, "Contract") == ["Broken", "Kept", "None"]
    assert cells(page, "Lineage") == ["none yet"] * 3
    assert cells(page, "Missing values") == ["none", "at most 5% of the rows", "allowed", "allowed", "allowed"]
    assert cells(page, "Range") == ["18 to 120", "at least 0.5", "at most 31 Jan 2026, 12:00", "any", "any"]
    assert cells(page, "Values") == ["any", "any", "any", "text that fits [a-z]+ each once", "0, 1"]
    assert "At least 2 rows; other columns than these are refused." in page
    assert "No binding in force or to come measures on it." in page and "No check has measured on it" in page


def test_a_version_shows_each_rule_it_breaks_and_a_closed_one_without_values(
    scene: Scene, loans: None, signed_in: Browser
) -> None:
    dana = signed_in(scene.dana)
    kept = text(dana.get(f"{PAGE}versions/2/"))
    assert "It keeps every rule of revision 1." in kept and f'href="{PAGE}?revision=1#contract"' in kept
    assert "No contract held when it was registered." in text(dana.get(f"{PAGE}versions/1/"))
    broken = text(dana.get(f"{PAGE}versions/3/"))
    assert "It breaks 2 rules of revision 1" in broken
    assert cells(broken, "Rule") == ["Least value", "Allowed values"]
    assert cells(broken, "Expected") == ["at least 18", "one of 0, 1"] and cells(broken, "Found") == ["2 rows", "1 row"]
    assert cells(broken, "First rows") == ["3, 4", "4"] and cells(broken, "Values") == ["17, 12", "7"]
    assert re.search(r"sha256:[0-9a-f]{64}", broken) and "loans 2026@v3" in broken

    registered(scene.pat, BAD, closed=True)  # the same content again, from now on for checks alone
    for who in (scene.dana, scene.pat):
        closed = text(signed_in(who).get(f"{PAGE}versions/3/"))
        assert cells(closed, "Found") == ["2 rows", "1 row"] and cells(closed, "Values") == []
        assert "17, 12" not in closed and "so no values are told" in closed


def test_a_contract_is_published_with_mistakes_at_their_place(scene: Scene, loans: None, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    write = f"{PAGE}contract"
    assert "nullable: false, min: 18" in text(pat.get(write)), "it begins with the newest revision"
    drafted = text(pat.get(f"{write}?draft=3"))
    assert "min: 12" in drafted and "max: 40" in drafted
    wrong = pat.post(write, {"document": CONTRACT.replace("type: number", "type: numeral")})
    assert wrong.status_code == 400 and '<a href="#M6">Line 6, column ' in text(wrong)
    assert "type: numeral" in text(wrong).split("<textarea")[1]
    empty = pat.post(write, {"document": ""})
    assert empty.status_code == 422 and "Write the document, or paste it here." in text(empty)
    assert DataContract.objects.count() == 1
    done = pat.post(write, {"document": CONTRACT.replace("min: 18", "min: 21")})
    assert done.status_code == 302 and done["Location"] == PAGE
    page = text(pat.get(PAGE))
    assert "Revision 2 is the contract of loans 2026 for versions to come." in page and "21 to 120" in page
    changed = text(pat.get(f"{PAGE}?revision=2&against=1"))
    assert "1 line added, 1 removed" in changed and '<b class="vh">removed: </b>- {name: age' in changed
    assert "This is an older revision." in text(pat.get(f"{PAGE}?revision=1"))
    assert pat.get(f"{PAGE}?revision=9").status_code == 404 and pat.get(f"{PAGE}?against=9").status_code == 404


def test_the_first_contract_begins_with_the_target_and_a_draft_of_a_closed_one_has_no_values(
    scene: Scene, signed_in: Browser
) -> None:
    pat = signed_in(scene.pat)
    page = text(pat.get("/datasets/german-credit-validation/"))
    assert "No contract is published" in page and "Closed" in page
    assert pat.get("/datasets/german-credit-validation/?revision=1").status_code == 404
    write = "/datasets/german-credit-validation/contract"
    assert "{name: y, type: number, nullable: false}" in text(pat.get(write))
    drafted = text(pat.get(f"{write}?draft=1"))
    assert "name: x" in drafted and "max:" not in drafted
    assert pat.get(f"{write}?draft=7").status_code == 404


def test_who_may_not_see_or_publish_is_offered_nothing(scene: Scene, loans: None, mallory: User, signed_in: Browser) -> None:
    ravi, stranger = signed_in(scene.ravi), signed_in(mallory)
    for path in ("/datasets/", PAGE, f"{PAGE}versions/1/", f"{PAGE}contract"):
        assert stranger.get(path).status_code == 403
    assert 'href="/datasets/"' not in text(stranger.get("/models/")) and 'href="/datasets/"' in text(ravi.get("/models/"))
    assert "Publish a contract" in text(signed_in(scene.pat).get(PAGE)) and "Publish a contract" not in text(ravi.get(PAGE))
    for answer in (ravi.get(f"{PAGE}contract"), ravi.post(f"{PAGE}contract", {"document": CONTRACT})):
        assert answer.status_code == 403 and "dataset:register" in text(answer)
    for path in ("/datasets/none/", f"{PAGE}versions/9/", "/datasets/none/versions/1/", "/datasets/none/contract"):
        assert signed_in(scene.pat).get(path).status_code == 404
    assert DataContract.objects.count() == 1


def test_it_says_where_it_is_used_and_is_linked_from_there(scene: Scene, signed_in: Browser) -> None:
    request = scene.promoted()
    later = (POLICIES / "credit-binding.yaml").read_text().replace("name: credit-models", "name: later")
    bind_policy(actor=actor(scene.pat), document=later.replace("targets:", "mode: warn\nsince: 2999-01-01T00:00:00Z\ntargets:"))
    ravi, page = signed_in(scene.ravi), "/datasets/german-credit-validation/"
    shown = text(ravi.get(page))
    assert "binding credit-models<" in shown and "binding later, to come<" in shown and "on the newest version" in shown
    assert "performance, fairness, explainability" in shown
    assert f"{MODEL} v1" in shown and 'href="/lineage/?node=dataset%3Agerman-credit-validation%40v1"' in shown
    link = 'href="/datasets/german-credit-validation/versions/1/"'
    (run,) = re.findall(r'href="(/check-runs/[^"]+)">Fairness<', shown)
    for path in (
        run,
        f"/requests/{request.pk}/",
        f"/models/{MODEL}/versions/1/",
        f"/models/{MODEL}/versions/1/report/",
        "/lineage/?node=dataset:german-credit-validation@v1",
    ):
        assert link in text(ravi.get(path)), path
    assert run in text(ravi.get(f"{page}versions/1/"))
    # Who reads data sets, but not the model, sees no run on it.
    assert "/check-runs/" not in text(signed_in(person("erin", "data-scientist")).get(page))


def test_a_policy_of_an_earlier_release_that_cannot_be_read_is_left_out(
    scene: Scene, signed_in: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(document: str) -> Any:
        raise DocumentError([Mistake(1, 1, "it asks for what there is no more")])

    dana = signed_in(scene.dana)
    page = "/datasets/german-credit-validation/"
    assert "credit-production" in text(dana.get(page))
    monkeypatch.setattr("governance.dataset_uses.compile_policy", refuse)
    assert "credit-production" not in text(dana.get(page))


def test_pages_take_as_many_statements_for_many_as_for_few(scene: Scene, loans: None, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)

    def taken(path: str) -> int:
        with CaptureQueriesContext(connection) as found:
            assert pat.get(path).status_code == 200
        return len(found)

    paths = ("/datasets/", PAGE, f"{PAGE}versions/2/")
    [taken(path) for path in paths]
    few = [taken(path) for path in paths]
    for n in range(3):
        registered(scene.pat, f"{GOOD}6{n},30,2025-01-03,oslo,1\n")
        registered(scene.pat, f"{GOOD}6{n},30,2025-01-03,oslo,1\n", name=f"more-{n}")
        publish_contract(actor=actor(scene.pat), name="loans 2026", document=CONTRACT.replace("min: 18", f"min: 1{n}"))
    assert [taken(path) for path in paths] == few and max(few) <= 16
