"""The main job, step by step: register, validate, review, promote, prove. Each step as that person, over HTTP."""

from __future__ import annotations

import io
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from demo.data_split import split
from demo.later import LaterLife
from demo.steps import hold, say, step
from demo.story import CARD, MODEL, Story, holders, numbers, result_of
from scripts.stack import ROOT

POLICIES = Path(__file__).parent / "policies"


class MainJob(Story):
    """The story from the first policy to the proof."""

    run_id = ""
    request = 0

    def run(self) -> None:
        """Tell it from beginning to end. Raises StepFailed at the first promise that does not hold."""
        self.before = datetime.now(UTC)
        with step(1, "The platform admin registers validation data and puts a policy on Production"):
            self.govern()
        with step(2, "A data scientist trains on German Credit, logs and registers with the mlflow client, and loads it back"):
            self.register()
        with step(3, "A direct move to Production is refused, and says how to ask"):
            self.refuse_direct_moves()
        with step(4, "She writes the model card and asks; the worker checks the model on data she did not choose"):
            self.ask_and_check()
        with step(5, "Her own approval is refused; two reviewers approve; the request is carried out"):
            self.review()
        with step(6, "A second version, made unfair on purpose, is blocked by the gate"):
            self.block_unfair()
        later = LaterLife(self.stack, self.people)
        with step(7, "A third version is simpler and a little worse: a waiver, a review that goes stale, a change of champion"):
            later.waive_and_replace()
        with step(
            8, "At night it misbehaves: two people move version 1 past the gate for an hour, then the gate lets it back for good"
        ):
            later.emergency_and_rollback()
        later.close()
        with step(9, "The auditor pulls lineage, decisions and dates, and proves that the record was not altered"):
            self.audit()
        self.close()

    def govern(self) -> None:
        _, validation = split()
        file = io.BytesIO(validation.to_csv(index=False).encode())
        answer = self.pat.post(
            "datasets/?name=german-credit-validation&format=csv&target=good_credit&closed=true",
            data=file,
            headers={"Content-Type": "text/csv"},
        )
        dataset = result_of(answer, 201)
        hold(dataset["row_count"] == 300, f"german-credit-validation v1 has 300 rows, {dataset['digest'][:19]}…")
        revision = result_of(self.pat.post("policies/", {"document": (POLICIES / "credit-production.yaml").read_text()}), 201)
        hold(revision["number"] == 1, f"policy {revision['policy']} v1 is published, {revision['digest'][:19]}…")
        result_of(self.pat.post("bindings/", {"document": (POLICIES / "credit-binding.yaml").read_text()}), 201)
        broken = self.pat.post("policies/", {"document": "kind: Policy\nname: broken\nrequirements:\n  - id: a\n    title: A\n"
                                             "    how_to_satisfy: b\n    satisfied_if: versoin.number > 1\n"})  # fmt: skip
        hold(
            broken.status_code == 400 and "line 7, column 26" in broken.text, "a malformed policy is refused with line and column"
        )
        denied = self.dana.post("policies/", {"document": "kind: Policy"})
        hold(denied.status_code == 403, "a data scientist may not publish a policy")

    def register(self) -> None:
        result = self.train()
        hold(result["version"] == 1, f"{MODEL} v1 is registered from run {result['run_id'][:8]}…")
        hold(result["loaded_back"], f'mlflow.pyfunc.load_model("models:/{MODEL}/1") predicts the same')
        version = result_of(self.dana.get(f"models/{MODEL}/versions/1/"))
        hold(version["content_digest"].startswith("sha256:"), f"its content is known as {version['content_digest'][:19]}…")
        self.run_id = result["run_id"]

    def refuse_direct_moves(self) -> None:
        told = self.client_says(f"client.transition_model_version_stage({MODEL!r}, '1', 'Production')")
        hold("PERMISSION_DENIED" in told and "credit-production" in told, "the client raises PERMISSION_DENIED naming the policy")
        hold("/api/v1/promotion-requests/" in told, "and says where to ask")
        told = self.client_says(f"client.set_registered_model_alias({MODEL!r}, 'champion', '1')")
        hold("PERMISSION_DENIED" in told, "the governed alias champion is refused likewise")
        told = self.client_says(f"client.set_registered_model_alias({MODEL!r}, 'candidate', '1')")
        hold(told == "None", "an alias that no policy guards behaves as on an MLflow server")

    def ask_and_check(self) -> None:
        result_of(self.dana.put(f"models/{MODEL}/versions/1/card/", {"sections": CARD}))
        self.request = self.ask(1, "First scorecard on the new platform; replaces the manual one.")
        verdict = self.checked(self.request)
        for requirement in verdict["requirements"]:
            say(f"        {requirement['state']:12} {requirement['title']:42} {numbers(requirement)}")
        blocking = [r["id"] for r in verdict["requirements"] if r["state"] not in ("satisfied", "not_applicable")]
        hold(blocking == ["review-reviewer"], "every check is met; two approvals are missing")
        runs = result_of(self.ravi.get("check-runs/", model=MODEL, version=1))["results"]
        hold(
            {r["state"] for r in runs} <= {"passed", "failed"},
            f"{len(runs)} check runs, each in a process of its own ({runs[0]['isolation']})",
        )

    def review(self) -> None:
        own = self.dana.post(f"promotion-requests/{self.request}/reviews/", {"verdict": "approve"})
        hold(own.status_code == 403 and "asked for this promotion" in own.text, f"refused: {own.json()['detail']}")
        for reviewer in (self.ravi, self.rosa):
            seen = result_of(reviewer.get(f"promotion-requests/{self.request}/"))["evidence_digest"]
            body = {"verdict": "approve", "comment": "Evidence read.", "evidence_digest": seen}
            result_of(reviewer.post(f"promotion-requests/{self.request}/reviews/", body), 201)
            say(f"        {reviewer.person.full_name} approved evidence {seen[:19]}…")
        self.until(
            lambda: result_of(self.dana.get(f"promotion-requests/{self.request}/"))["state"] == "done",
            "the request to be carried out",
        )
        hold(True, "the request is done")
        stage = self.client_says(f"client.get_model_version({MODEL!r}, '1').current_stage")
        alias = self.client_says(f"client.get_model_version_by_alias({MODEL!r}, 'candidate').current_stage")
        latest = self.client_says(f"client.get_latest_versions({MODEL!r}, ['Production'])[0].version")
        hold((stage, alias, latest) == ("Production", "Production", "1"), "the client agrees by version, by alias and by stage")
        loaded = self.client_says(f"mlflow.pyfunc.load_model('models:/{MODEL}/Production').metadata.run_id")
        hold(loaded == self.run_id, f"models:/{MODEL}/Production loads version 1")

    def block_unfair(self) -> None:
        result = self.train("--unfair")
        number = result["version"]
        result_of(self.dana.put(f"models/{MODEL}/versions/{number}/card/", {"sections": CARD}))
        request = self.ask(number, "Higher approval rate among established customers.")
        verdict = self.checked(request)
        failed = {r["id"]: r for r in verdict["requirements"] if r["state"] == "unsatisfied"}
        hold("parity-sex" in failed, f"blocked: {failed.get('parity-sex', {}).get('reason')} (demographic parity ratio, sex)")
        answer = self.dana.post(f"promotion-requests/{request}/execute/")
        hold(
            answer.status_code == 409 and "parity-sex" in answer.text,
            "carrying it out is refused with the measured value and the limit",
        )
        page = self.ravi.page(f"/requests/{request}/")
        value = f"{failed['parity-sex']['value']:.2f}"
        hold("Demographic parity ratio, sex" in page and value in page, f"the page shows {value} against the limit 0.80")
        body = {"verdict": "reject", "comment": f"Women are selected at {value} of the rate of men."}
        result_of(self.ravi.post(f"promotion-requests/{request}/reviews/", body), 201)
        hold(result_of(self.dana.get(f"promotion-requests/{request}/"))["state"] == "rejected", "the reviewer rejects it")
        holding = result_of(self.dana.get(f"models/{MODEL}/stages/"))
        hold(holders(holding, "Production") == [1], "version 1 still holds Production")

    def audit(self) -> None:
        graph = result_of(self.aude.get("lineage/", node=f"model_version:{MODEL}/1", direction="both", depth=10))
        kinds = {node["kind"] for node in graph["nodes"]}
        hold(
            {"dataset", "run", "logged_model", "model_version", "stage"} <= kinds,
            f"lineage from data to stage: {', '.join(sorted(kinds))}",
        )
        history = result_of(self.aude.get(f"models/{MODEL}/versions/1/decisions/"))
        approvals = [r["reviewer"] for r in history[0]["reviews"] if r["verdict"] == "approve"]
        digests = [c["result_digest"] for c in history[0]["checks"]]
        hold(
            approvals == ["ravi", "rosa"] and all(d.startswith("sha256:") for d in digests),
            "who approved, on which evidence digests",
        )
        decision = history[0]["decisions"][-1]
        replay = result_of(self.aude.post(f"decisions/{decision['id']}/replay/"))
        hold(
            replay["same"],
            f"the decision, recomputed from its stored facts, comes out the same ({decision['verdict_digest'][:19]}…)",
        )
        earlier = result_of(self.aude.get(f"models/{MODEL}/stages/", as_of=self.before.isoformat()))
        now = result_of(self.aude.get(f"models/{MODEL}/stages/", as_of=datetime.now(UTC).isoformat()))
        hold(
            holders(earlier, "Production") == [] and holders(now, "Production") == [1],
            "Production held nothing before, and version 1 since",
        )
        refused = self.aude.post("promotion-requests/", {"model": MODEL, "version": 1, "target": "Staging", "reason": "none"})
        hold(refused.status_code == 403, "the auditor can change nothing")
        self.until(lambda: result_of(self.aude.get("audit/head/"))["pending"] == 0, "every event to have its place")
        report = result_of(self.aude.post("audit/verify/"))
        hold(
            report["intact"] and report["size"] > 30,
            f"all {report['size']} hashes of the ledger recomputed; root {report['root_hash'][:16]}…",
        )
        self._tamper()

    def _tamper(self) -> None:
        """Alter one approval in a copy of the database, as someone with the file in hands could, and verify the copy."""
        copy = self.stack.home / "tampered"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        with (
            sqlite3.connect(self.stack.home / "countersign.sqlite3") as source,
            sqlite3.connect(copy / "countersign.sqlite3") as target,
        ):
            source.backup(target)
            target.execute("DROP TRIGGER core_auditevent_no_update")
            (row,) = target.execute(
                "SELECT max(id) FROM core_auditevent WHERE action = 'promotion.reviewed' AND actor = 'rosa'"
            ).fetchone()
            target.execute("UPDATE core_auditevent SET body = replace(body, 'rosa', 'dana'), actor = 'dana' WHERE id = ?", [row])
        environment = {**self.stack.environment, "COUNTERSIGN_HOME": str(copy)}
        done = subprocess.run(
            [sys.executable, "manage.py", "verify_ledger"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        told = done.stdout + done.stderr
        hold(
            done.returncode == 1 and f"event {row} " in told,
            f"in a tampered copy, verification names the altered row: audit event {row}",
        )
