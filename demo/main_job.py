"""The main job, step by step: register, validate, review, promote, prove. Each step as that person, over HTTP."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from demo.cast import Client
from demo.data_split import split
from demo.steps import StepFailed, hold, progress, progress_over, say, step
from scripts.stack import ROOT, Stack

MODEL = "credit.german-risk"
POLICIES = Path(__file__).parent / "policies"
CARD = {
    "intended_use": "Support a credit officer in retail lending decisions up to 20,000. Never the only basis of a refusal.",
    "training_data": "Statlog German Credit (Hofmann 1994), 700 of 1,000 cases; protected attributes were left out.",
    "limitations": "Cases from one bank in the early 1990s; amounts in Deutsche Mark; no income, no bureau data.",
    "ethical_considerations": "Parity by sex and age group is measured on held-out cases before each promotion.",
    "monitoring_plan": "Selection rates by group and ROC AUC are measured monthly; a ratio below 0.8 calls for review.",
}
_PATIENCE = 240.0


class MainJob:
    """One telling of the story. Raises StepFailed at the first promise that does not hold."""

    def __init__(self, stack: Stack, people: dict[str, Client]) -> None:
        self.stack = stack
        self.dana, self.ravi, self.rosa = people["dana"], people["ravi"], people["rosa"]
        self.aude, self.pat = people["aude"], people["pat"]
        self.before = datetime.now(UTC)
        self.request = 0
        self._client: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Tell it from beginning to end."""
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
        with step(7, "The auditor pulls lineage, decisions and dates, and proves that the record was not altered"):
            self.audit()
        if self._client is not None:
            self._client.terminate()
            self._client.wait()

    def govern(self) -> None:
        _, validation = split()
        file = io.BytesIO(validation.to_csv(index=False).encode())
        answer = self.pat.post(
            "datasets/?name=german-credit-validation&format=csv&target=good_credit&closed=true",
            data=file,
            headers={"Content-Type": "text/csv"},
        )
        dataset = _json(answer, 201)
        hold(dataset["row_count"] == 300, f"german-credit-validation v1 has 300 rows, {dataset['digest'][:19]}…")
        revision = _json(self.pat.post("policies/", {"document": (POLICIES / "credit-production.yaml").read_text()}), 201)
        hold(revision["number"] == 1, f"policy {revision['policy']} v1 is published, {revision['digest'][:19]}…")
        _json(self.pat.post("bindings/", {"document": (POLICIES / "credit-binding.yaml").read_text()}), 201)
        broken = self.pat.post("policies/", {"document": "kind: Policy\nname: broken\nrequirements:\n  - id: a\n    title: A\n"
                                             "    how_to_satisfy: b\n    satisfied_if: versoin.number > 1\n"})  # fmt: skip
        hold(
            broken.status_code == 400 and "line 7, column 26" in broken.text, "a malformed policy is refused with line and column"
        )
        denied = self.dana.post("policies/", {"document": "kind: Policy"})
        hold(denied.status_code == 403, "a data scientist may not publish a policy")

    def register(self) -> None:
        result = self._train()
        hold(result["version"] == 1, f"{MODEL} v1 is registered from run {result['run_id'][:8]}…")
        hold(result["loaded_back"], f'mlflow.pyfunc.load_model("models:/{MODEL}/1") predicts the same')
        version = _json(self.dana.get(f"models/{MODEL}/versions/1/"))
        hold(version["content_digest"].startswith("sha256:"), f"its content is known as {version['content_digest'][:19]}…")
        self.run_id = result["run_id"]

    def refuse_direct_moves(self) -> None:
        told = self._client_says(f"client.transition_model_version_stage({MODEL!r}, '1', 'Production')")
        hold("PERMISSION_DENIED" in told and "credit-production" in told, "the client raises PERMISSION_DENIED naming the policy")
        hold("/api/v1/promotion-requests/" in told, "and says where to ask")
        told = self._client_says(f"client.set_registered_model_alias({MODEL!r}, 'champion', '1')")
        hold("PERMISSION_DENIED" in told, "the governed alias champion is refused likewise")
        told = self._client_says(f"client.set_registered_model_alias({MODEL!r}, 'candidate', '1')")
        hold(told == "None", "an alias that no policy guards behaves as on an MLflow server")

    def ask_and_check(self) -> None:
        _json(self.dana.put(f"models/{MODEL}/versions/1/card/", {"sections": CARD}))
        self.request = self._ask(1, "First scorecard on the new platform; replaces the manual one.")
        verdict = self._checked(self.request)
        for requirement in verdict["requirements"]:
            say(f"        {requirement['state']:12} {requirement['title']:42} {_numbers(requirement)}")
        blocking = [r["id"] for r in verdict["requirements"] if r["state"] not in ("satisfied", "not_applicable")]
        hold(blocking == ["review-reviewer"], "every check is met; two approvals are missing")
        runs = _json(self.ravi.get("check-runs/", model=MODEL, version=1))["results"]
        hold(
            {r["state"] for r in runs} == {"completed"},
            f"{len(runs)} check runs, each in a process of its own ({runs[0]['isolation']})",
        )

    def review(self) -> None:
        own = self.dana.post(f"promotion-requests/{self.request}/reviews/", {"verdict": "approve"})
        hold(own.status_code == 403 and "asked for this promotion" in own.text, f"refused: {own.json()['detail']}")
        for reviewer in (self.ravi, self.rosa):
            seen = _json(reviewer.get(f"promotion-requests/{self.request}/"))["evidence_digest"]
            body = {"verdict": "approve", "comment": "Evidence read.", "evidence_digest": seen}
            _json(reviewer.post(f"promotion-requests/{self.request}/reviews/", body), 201)
            say(f"        {reviewer.person.full_name} approved evidence {seen[:19]}…")
        self._until(
            lambda: _json(self.dana.get(f"promotion-requests/{self.request}/"))["state"] == "done",
            "the request to be carried out",
        )
        hold(True, "the request is done")
        stage = self._client_says(f"client.get_model_version({MODEL!r}, '1').current_stage")
        alias = self._client_says(f"client.get_model_version_by_alias({MODEL!r}, 'candidate').current_stage")
        latest = self._client_says(f"client.get_latest_versions({MODEL!r}, ['Production'])[0].version")
        hold((stage, alias, latest) == ("Production", "Production", "1"), "the client agrees by version, by alias and by stage")
        loaded = self._client_says(f"mlflow.pyfunc.load_model('models:/{MODEL}/Production').metadata.run_id")
        hold(loaded == self.run_id, f"models:/{MODEL}/Production loads version 1")

    def block_unfair(self) -> None:
        result = self._train("--unfair")
        number = result["version"]
        _json(self.dana.put(f"models/{MODEL}/versions/{number}/card/", {"sections": CARD}))
        request = self._ask(number, "Higher approval rate among established customers.")
        verdict = self._checked(request)
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
        _json(self.ravi.post(f"promotion-requests/{request}/reviews/", body), 201)
        hold(_json(self.dana.get(f"promotion-requests/{request}/"))["state"] == "rejected", "the reviewer rejects it")
        holding = _json(self.dana.get(f"models/{MODEL}/stages/"))
        hold(_holders(holding, "Production") == [1], "version 1 still holds Production")

    def audit(self) -> None:
        graph = _json(self.aude.get("lineage/", node=f"model_version:{MODEL}/1", direction="both", depth=10))
        kinds = {node["kind"] for node in graph["nodes"]}
        hold(
            {"dataset", "run", "logged_model", "model_version", "stage"} <= kinds,
            f"lineage from data to stage: {', '.join(sorted(kinds))}",
        )
        history = _json(self.aude.get(f"models/{MODEL}/versions/1/decisions/"))
        approvals = [r["reviewer"] for r in history[0]["reviews"] if r["verdict"] == "approve"]
        digests = [c["result_digest"] for c in history[0]["checks"]]
        hold(
            approvals == ["ravi", "rosa"] and all(d.startswith("sha256:") for d in digests),
            "who approved, on which evidence digests",
        )
        decision = history[0]["decisions"][-1]
        replay = _json(self.aude.post(f"decisions/{decision['id']}/replay/"))
        hold(
            replay["same"],
            f"the decision, recomputed from its stored facts, comes out the same ({decision['verdict_digest'][:19]}…)",
        )
        earlier = _json(self.aude.get(f"models/{MODEL}/stages/", as_of=self.before.isoformat()))
        now = _json(self.aude.get(f"models/{MODEL}/stages/", as_of=datetime.now(UTC).isoformat()))
        hold(
            _holders(earlier, "Production") == [] and _holders(now, "Production") == [1],
            "Production held nothing before, and version 1 since",
        )
        refused = self.aude.post("promotion-requests/", {"model": MODEL, "version": 1, "target": "Staging", "reason": "none"})
        hold(refused.status_code == 403, "the auditor can change nothing")
        self._until(lambda: _json(self.aude.get("audit/head/"))["pending"] == 0, "every event to have its place")
        report = _json(self.aude.post("audit/verify/"))
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

    def _train(self, *options: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "demo.train", *options],
            cwd=ROOT, env=self._client_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise StepFailed(f"training failed:\n{done.stdout}{done.stderr}")
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))

    def _client_says(self, expression: str) -> str:
        """Return what the unmodified client gives for an expression, or the error it raises."""
        if self._client is None:
            command = [sys.executable, "-W", "ignore", "-m", "demo.client"]
            self._client = subprocess.Popen(
                command, cwd=ROOT, env=self._client_environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        stdin, stdout = self._client.stdin, self._client.stdout
        if stdin is None or stdout is None:
            raise StepFailed("the client has no pipes")
        stdin.write(json.dumps(expression) + "\n")
        stdin.flush()
        while line := stdout.readline():  # the client may print notes of its own
            if line.startswith('{"answer"'):
                return str(json.loads(line)["answer"])
        raise StepFailed(f"the client ended while it evaluated {expression}")

    def _client_environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "MLFLOW_TRACKING_URI": self.stack.url,
            "MLFLOW_TRACKING_TOKEN": self.dana.token,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        }

    def _ask(self, version: int, reason: str) -> int:
        body = {"model": MODEL, "version": version, "target_kind": "stage", "target": "Production", "reason": reason}
        request = _json(self.dana.post("promotion-requests/", body, headers={"Idempotency-Key": f"demo-{version}"}), 201)
        again = _json(self.dana.post("promotion-requests/", body, headers={"Idempotency-Key": f"demo-{version}"}), 201)
        hold(request["id"] == again["id"], f"{request['reference']} is open; asking again with the same key changes nothing")
        return int(request["id"])

    def _checked(self, request: int) -> dict[str, Any]:
        shown: set[str] = set()

        def finished() -> bool:
            for link in _json(self.dana.get(f"promotion-requests/{request}/checks/")):
                check = link
                line = f"{check['check']}: {check['state']} {check['progress']:.0%} {check['progress_text']}".strip()
                if link["role"] == "candidate" and line not in shown:
                    shown.add(line)
                    progress(line)
            return bool(_json(self.dana.get(f"promotion-requests/{request}/"))["state"] != "checking")

        self._until(finished, "the checks to finish")
        progress_over()
        return dict(_json(self.dana.get(f"promotion-requests/{request}/requirements/")))

    def _until(self, done: Any, what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not done():
            self.stack.require_alive()
            if time.monotonic() > deadline:
                raise StepFailed(f"waited {_PATIENCE:.0f} s for {what}")
            time.sleep(0.3)


def _json(answer: requests.Response, status: int = 200) -> Any:
    if answer.status_code != status:
        raise StepFailed(
            f"{answer.request.method} {answer.url} answered {answer.status_code}, not {status}: {answer.text[:1000]}"
        )
    return answer.json()


def _holders(placements: list[dict[str, Any]], stage: str) -> list[int]:
    return [row["version"] for row in placements if row["stage"] == stage]


def _numbers(requirement: dict[str, Any]) -> str:
    value, limit = requirement.get("value"), requirement.get("limit")
    if value is None:
        return ""
    shown = f"{value:.3f}" if isinstance(value, float) else str(value)
    return f"{shown} (limit {requirement['limit_is'].replace('_', ' ')} {limit})" if limit is not None else shown
