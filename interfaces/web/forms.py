"""What people may fill in, and what is said when they fill it in wrongly."""

from __future__ import annotations

from typing import Any

from django import forms

from core.models import User
from interfaces import throttle
from interfaces.web.context import THEMES


class SignIn(forms.Form):
    """A name and a password."""

    username = forms.CharField(max_length=150, error_messages={"required": "Give your account name."})
    password = forms.CharField(strip=False, widget=forms.PasswordInput, error_messages={"required": "Give your password."})


class Theme(forms.Form):
    theme = forms.ChoiceField(choices=[(name, name) for name in THEMES])


class Decision(forms.Form):
    """A verdict on the evidence shown, signed with the reviewer's password.

    meaning, statement_digest: of the electronic signature, where a policy asks for one.
    """

    verdict = forms.ChoiceField(
        choices=[
            ("approve", "Approve"),
            ("request_changes", "Request changes"),
            ("reject", "Reject"),
            ("abstain", "Abstain"),
        ],
        error_messages={"required": "Choose one.", "invalid_choice": "Choose approve, request changes, reject or abstain."},
    )
    comment = forms.CharField(required=False, max_length=10_000)
    on_behalf_of = forms.CharField(required=False, max_length=150)
    evidence_digest = forms.CharField(max_length=71, error_messages={"required": "The form lacks the digest that is signed."})
    signs = forms.BooleanField(required=False)  # whether the page asked for a signature
    meaning = forms.CharField(required=False, max_length=200)
    statement_digest = forms.CharField(required=False, max_length=71)
    password = forms.CharField(strip=False, error_messages={"required": "Give your password: it is what signs."})

    def __init__(self, data: Any, *, reviewer: User, address: str) -> None:
        super().__init__(data)
        self._reviewer, self._address = reviewer, address

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        reviewer = self._reviewer
        # TooManyAttempts is no mistake in the form, so it leaves the form for the view.
        if not throttle.tried(reviewer.username, self._address, lambda: reviewer.check_password(password)):
            raise forms.ValidationError("This password does not match. Nothing was signed.")
        return password

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        verdict = cleaned.get("verdict")
        if verdict in ("request_changes", "reject") and not (cleaned.get("comment") or "").strip():
            words = "Say what must change before you would approve." if verdict == "request_changes" else "Say why you reject it."
            self.add_error("comment", words)
        if cleaned.get("signs") and not cleaned.get("meaning"):
            self.add_error("meaning", "Choose what your signature means.")
        elif cleaned.get("signs") and not cleaned.get("statement_digest"):
            self.add_error("statement_digest", "Read the statement, then give your password and sign it. Nothing was signed yet.")
        return cleaned


class Ask(forms.Form):
    """A wish for a stage or alias, with its reason. what: the kind of request and the place, such as ``rollback:stage:Production``."""

    what = forms.CharField(max_length=275, error_messages={"required": "Choose what you ask for."})
    reason = forms.CharField(
        max_length=10_000, error_messages={"required": "Say why: the reviewers decide on it and the auditors will read it."}
    )
    keep_existing = forms.BooleanField(required=False)
    supersede = forms.BooleanField(required=False)
    draft = forms.BooleanField(required=False)

    def clean_what(self) -> tuple[str, str, str]:
        kind, _, place = str(self.cleaned_data["what"]).partition(":")
        target_kind, _, target = place.partition(":")
        if kind not in ("promotion", "rollback", "re_review") or target_kind not in ("stage", "alias") or not target:
            raise forms.ValidationError("Choose one of the list.")
        return kind, target_kind, target


class Say(forms.Form):
    """A contribution to a discussion."""

    text = forms.CharField(max_length=10_000, error_messages={"required": "Write something: a comment needs a text."})


class Remark(forms.Form):
    """Words that go with an act: why a request is withdrawn, or what was changed before it comes back."""

    comment = forms.CharField(required=False, max_length=10_000)
