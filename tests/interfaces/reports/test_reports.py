"""The report of a version: what it says, where its numbers lead, and that the same evidence gives the same document."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pypdf import PdfReader

from core.models import Job, User
from governance.models import CheckRun
from interfaces.reports.paper import content_policy, paper
from interfaces.reports.version import version_report
from tests.cast import actor
from tests.interfaces.web.conftest import MODEL, Scene
from tests.workflows.test_printing import needs_a_press
from workflows import printing
from workflows.models import Printout, Review

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
PAGE = f"/models/{MODEL}/versions/2/report/"
API = f"/api/v1/models/{MODEL}/versions/2/report/"


def text(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.fixture
def reviewed(scene: Scene) -> Scene:
    """A champion in Production, and a second version that one of two people has approved."""
    scene.promoted()
    scene.approve(scene.under_review(), scene.ravi)
    return scene


def test_the_page_says_who_decided_what_on_which_evidence(reviewed: Scene, signed_in: Browser) -> None:
    page = text(signed_in(reviewed.aude).get(PAGE))
    given = Review.objects.get(request__version__number=2)
    assert given.evidence_digest in page and reviewed.ravi.display_name in page and f"REQ-{given.request_id}" in page
    run = CheckRun.objects.get(version__number=2, check_name="performance")
    assert run.result_digest in page and run.dataset_version is not None and run.dataset_version.digest in page
    assert run.content_digest in page, "the digest of what was registered"
    assert "Ranks retail loan applications" in page and "Small group" in page and "amber-heron-402" in page
    roc = page.split('<th scope="row">ROC AUC</th>')[-1].split("</tr>")[0]
    parity = page.split('<th scope="row">Parity ratio, age_group</th>')[1].split("</tr>")[0]
    assert "0.840" in parity and "≥ 0.800, credit-production/parity-age" in parity
    assert "0.786" in roc and "0.736 to 0.836" in roc and ">300<" in roc and "≥ 0.700, credit-production/roc-auc" in roc


def test_every_figure_and_number_leads_to_its_run(reviewed: Scene, signed_in: Browser) -> None:
    browser = signed_in(reviewed.dana)
    page = text(browser.get(PAGE))
    runs = {str(run.pk) for run in CheckRun.objects.filter(version__number=2)}
    assert set(re.findall(r'href="/check-runs/([0-9a-f-]+)/', page)) == runs
    figures = re.findall(r'<figure id="([\w-]+)".*?href="(/check-runs/[0-9a-f-]+/)#\1"', page, re.DOTALL)
    assert len(figures) == page.count("<figure ") == 4 and 'class="lc"' in page, "the champion's is drawn beside"
    for anchor, address in figures:
        assert f'id="{anchor}"' in text(browser.get(address))
    values = re.findall(r'<td class="n"><a href="/check-runs/', page)
    assert len(values) == 9


def test_only_who_may_see_the_version_may_see_its_report_and_runs(reviewed: Scene, signed_in: Browser, mallory: User) -> None:
    stranger, run = signed_in(mallory), CheckRun.objects.filter(version__number=2)[0]
    for address in (PAGE, f"/models/{MODEL}/versions/2/report.pdf", API, f"/check-runs/{run.pk}/"):
        assert stranger.get(address).status_code == 404
        assert Client().get(address).status_code in (302, 401)
    assert not Printout.objects.exists()


def test_the_same_evidence_gives_the_same_document_and_more_another(reviewed: Scene) -> None:
    def document(person: User) -> str:
        return paper(version_report(actor(person), MODEL, 2), root="https://registry.example")

    before = document(reviewed.aude)
    assert before == document(reviewed.aude)
    reviewed.approve(reviewed_request(reviewed), reviewed.rosa)
    assert printing.digest_of(before) != printing.digest_of(document(reviewed.aude))


def reviewed_request(scene: Scene) -> Any:
    return Review.objects.select_related("request").get(request__version__number=2).request


def test_the_document_is_whole_in_itself(reviewed: Scene, signed_in: Browser) -> None:
    answer = signed_in(reviewed.aude).get(API)
    html = text(answer)
    assert answer["Content-Type"] == "text/html; charset=utf-8" and answer["ETag"] == f'"{printing.digest_of(html)}"'
    assert answer["Content-Security-Policy"] == content_policy() and "unsafe" not in content_policy()
    assert not re.findall(r"(?:src=|@import|url\(|<link|<script|var\(| style=)", html)
    assert html.count("<title>") == 1 + html.count("<svg") and 'href="http://testserver/check-runs/' in html


@needs_a_press
def test_the_pdf_is_printed_by_a_worker_and_says_what_the_page_says(reviewed: Scene, signed_in: Browser) -> None:
    browser = signed_in(reviewed.aude)
    first = browser.get(API, {"format": "pdf"})
    assert first.status_code == 202 and first["Retry-After"] and first.json()["state"] == "printing"
    waiting = browser.get(PAGE.removesuffix("/") + ".pdf")
    assert waiting.status_code == 202 and 'http-equiv="refresh"' in text(waiting)
    job = Job.objects.get(name=printing.PRINT)  # one, though it was asked for twice
    printing.print_out(**job.arguments)
    answer = browser.get(API, {"format": "pdf"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer["Content-Disposition"] == f'inline; filename="{MODEL}-v2.pdf"'
    assert browser.get(PAGE.removesuffix("/") + ".pdf").content == answer.content
    pdf = PdfReader(io.BytesIO(answer.content))
    said = " ".join("".join(page.extract_text() for page in pdf.pages).split())
    for expected in (
        "credit.german-risk v2",
        "Decisions and signatures",
        "0.786",
        "ROC curve",
        "True positive rate",
        "Small group",
    ):
        assert expected.lower() in said.lower()
    links = {each.get_object().get("/A", {}).get("/URI") for page in pdf.pages for each in page.get("/Annots", [])}
    runs = CheckRun.objects.filter(version__number=2)
    assert {f"http://testserver/check-runs/{run.pk}/" for run in runs} <= links
    assert pdf.metadata is not None and pdf.metadata.title == "credit.german-risk v2, report"
    assert pdf.trailer["/Root"]["/MarkInfo"]["/Marked"], "it is tagged, so that it can be read aloud"


def test_a_format_that_does_not_exist_is_refused(reviewed: Scene, signed_in: Browser) -> None:
    assert signed_in(reviewed.aude).get(API, {"format": "docx"}).status_code == 400


def test_a_version_that_nothing_is_known_of_has_a_report(scene: Scene, signed_in: Browser) -> None:
    scene.register()
    page = text(signed_in(scene.dana).get(f"/models/{MODEL}/versions/1/report/"))
    for said in (
        "has held no stage",
        "nothing was decided",
        "No card is written",
        "No check has measured",
        "No check has made a table",
    ):
        assert said in page
    assert "amber-heron-401" in page, "but for the run it came from"
