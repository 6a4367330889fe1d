"""What comes after the first promotion: a waiver, a stale review, another champion, an emergency, a rollback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from demo.steps import hold
from demo.story import CARD, MODEL, Story, holders, result_of


class LaterLife(Story):
    """The part of the story that a policy's rarer features tell. Version 1 holds Production when it begins, and when it ends."""

    def waive_and_replace(self) -> None:
        """Version 3 misses one requirement, which is waived; a late change of its card makes a review stale; it is promoted."""
        number = self.train("--simple")["version"]
        result_of(self.dana.put(f"models/{MODEL}/versions/{number}/card/", {"sections": CARD}))
        request = self.ask(number, "Three features that an officer can explain at the counter.")
        missed = [r for r in self.checked(request)["requirements"] if r["state"] == "unsatisfied"]
        hold([r["id"] for r in missed] == ["roc-auc-against-champion"], f"blocked: {missed[0]['title']}, {missed[0]['reason']}")

        waiver = result_of(
            self.dana.post(
                "waivers/",
                {
                    "model": MODEL, "version": number, "policy": "credit-production", "requirement": "roc-auc-against-champion",
                    "reason": "Explaining refusals at the counter is worth two points of ROC AUC.",
                    "compensating_control": "Credits over 10,000 are decided by hand meanwhile.",
                    "expires_at": (datetime.now(UTC) + timedelta(days=60)).isoformat(),
                },
            ),
            201,
        )  # fmt: skip
        ruling = {"comment": "For two months, with the limit."}
        own = self.dana.post(f"waivers/{waiver['id']}/approve/", ruling)
        hold(own.status_code == 403, f"refused: {own.json()['detail']}")
        result_of(self.people["mark"].post(f"waivers/{waiver['id']}/approve/", ruling))
        self.until(lambda: self._state_of(request, "roc-auc-against-champion") == "waived", "the waiver to be seen")
        hold(True, "Mark of the risk committee waives it until a day; it shows as waived, never as passed")

        bare = self.ravi.post(f"promotion-requests/{request}/reviews/", {"verdict": "approve"})
        hold(bare.status_code == 400, f"refused: {bare.json()['detail']}")
        self._approve(self.ravi, request)
        limits = CARD["limitations"] + " Explains less than version 1."
        result_of(self.dana.put(f"models/{MODEL}/versions/{number}/card/", {"sections": {**CARD, "limitations": limits}}))
        (stale,) = result_of(self.ravi.get(f"promotion-requests/{request}/"))["reviews"]
        hold(not stale["counts"] and "limitations" in stale["why_not"], f"Ravi's review counts no more: {stale['why_not']}")
        for reviewer in (self.rosa, self.ravi):
            self._approve(reviewer, request)
        self._until_done(request)
        hold(
            self._production() == [number], f"after he looked again, version {number} holds Production and version 1 is archived"
        )
        self.simple = number

    def emergency_and_rollback(self) -> None:
        """Two people on call bring version 1 back at once; it reverts; a rollback by one reviewer brings it back for good."""
        body = {
            "model": MODEL, "version": 1, "target": "Production", "incident": "INC-2041",
            "reason": "Version 3 refuses every credit since ten.", "minutes": 60,
        }  # fmt: skip
        ines, ivo = self.people["ines"], self.people["ivo"]
        emergency = result_of(ines.post("break-glass/", body), 201)["id"]
        own = ines.post(f"break-glass/{emergency}/confirm/")
        hold(own.status_code == 403, f"refused: {own.json()['detail']}")
        result_of(ivo.post(f"break-glass/{emergency}/confirm/"))
        hold(self._production() == [1], "Ivo confirms, and version 1 stands in Production; it would revert by itself in an hour")
        hold("INC-2041" in self.dana.page("/models/"), "every page bears a banner until somebody else has looked at it")
        outcome = result_of(ivo.post(f"break-glass/{emergency}/revert/"))["outcome"]
        hold(self._production() == [self.simple], f"reverted: {outcome}")

        rollback = {"model": MODEL, "version": 1, "target": "Production", "kind": "rollback", "reason": "Version 1 was good."}
        request = result_of(self.dana.post("promotion-requests/", rollback), 201)["id"]
        self.checked(request)
        self._approve(self.ravi, request)
        self._until_done(request)
        hold(
            self._production() == [1],
            "a rollback needs one reviewer, since what was approved then still stands; version 1 is back",
        )
        note = {"note": "Right to do so; version 3 is looked into."}
        closed = result_of(self.aude.post(f"break-glass/{emergency}/close/", note))
        hold(
            closed["reviewed_by"] == "aude" and "INC-2041" not in self.dana.page("/models/"),
            "Aude closes the emergency; the banner goes",
        )

    def _approve(self, reviewer: Any, request: int) -> None:
        seen = result_of(reviewer.get(f"promotion-requests/{request}/"))["evidence_digest"]
        body = {"verdict": "approve", "comment": "Read, with the waiver and what makes up for it.", "evidence_digest": seen}
        result_of(reviewer.post(f"promotion-requests/{request}/reviews/", body), 201)

    def _state_of(self, request: int, requirement: str) -> str:
        verdict = result_of(self.ravi.get(f"promotion-requests/{request}/requirements/"))
        return str(next(r["state"] for r in verdict["requirements"] if r["id"] == requirement))

    def _until_done(self, request: int) -> None:
        self.until(
            lambda: result_of(self.dana.get(f"promotion-requests/{request}/"))["state"] == "done", "the request to be carried out"
        )

    def _production(self) -> list[int]:
        return holders(result_of(self.dana.get(f"models/{MODEL}/stages/")), "Production")
