"""What people may fill in on the registers of risk, operations, policies, people and webhooks, and what is said of mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from django import forms

from governance.models import Severity
from governance.questionnaire import Question
from registry.models import RiskTier

_LONGEST = 10_000
_MOST = 2**31 - 1
Choices = Sequence[tuple[str, str | Sequence[tuple[str, str]]]]


def long_text(label: str, missing: str = "", *, hint: str = "", rows: int = 3, most: int = _LONGEST) -> forms.CharField:
    """Return a field for sentences; it may stay empty unless ``missing`` says what to do when it is."""
    return forms.CharField(
        label=label,
        required=bool(missing),
        max_length=most,
        help_text=hint,
        widget=forms.Textarea(attrs={"rows": rows}),
        error_messages={"required": missing} if missing else {},
    )


def line(label: str, missing: str = "", *, hint: str = "", most: int = 256, names: str = "") -> forms.CharField:
    """Return a field for one line. names: the id of a list to choose from."""
    attrs = {"autocomplete": "off"} | ({"list": names} if names else {})
    return forms.CharField(
        label=label,
        required=bool(missing),
        max_length=most,
        help_text=hint,
        widget=forms.TextInput(attrs=attrs),
        error_messages={"required": missing} if missing else {},
    )


def day(label: str, missing: str = "", *, hint: str = "") -> forms.DateField:
    """Return a field for a day."""
    return forms.DateField(
        label=label,
        required=bool(missing),
        help_text=hint,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        input_formats=["%Y-%m-%d"],
        error_messages={"required": missing, "invalid": "Give a day such as 2027-03-31."},
    )


def whole(label: str, missing: str = "", *, hint: str = "", least: int = 1, most: int = _MOST) -> forms.IntegerField:
    """Return a field for a whole number."""
    return forms.IntegerField(
        label=label,
        required=bool(missing),
        min_value=least,
        max_value=most,
        help_text=hint,
        error_messages={"required": missing, "invalid": "Give a whole number."},
    )


def one_of(label: str, choices: Any, missing: str = "", *, hint: str = "", initial: str = "") -> forms.ChoiceField:
    """Return a field for one of a list."""
    return forms.ChoiceField(
        label=label,
        required=bool(missing),
        choices=choices,
        help_text=hint,
        initial=initial,
        error_messages={"required": missing, "invalid_choice": "Choose one of the list."},
    )


def several(label: str, choices: Any, missing: str = "", *, hint: str = "") -> forms.MultipleChoiceField:
    """Return boxes of which several may be ticked."""
    return forms.MultipleChoiceField(
        label=label,
        required=bool(missing),
        choices=choices,
        help_text=hint,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": missing, "invalid_choice": "Choose from the list."},
    )


def named(text: str) -> list[str]:
    """Return the names that are parted by commas, spaces or new lines."""
    return text.replace(",", " ").split()


def begin_of(chosen: date) -> datetime:
    """Return the instant at which a day begins, UTC."""
    return datetime.combine(chosen, time.min, UTC)


class Empty(forms.Form):
    """A button alone."""


class Document(forms.Form):
    """A YAML document as it is written."""

    document = forms.CharField(
        label="Document",
        strip=False,
        max_length=500_000,
        widget=forms.Textarea(attrs={"rows": 24, "class": "code", "spellcheck": "false"}),
        error_messages={"required": "Write the document, or paste it here."},
    )


class Comment(forms.Form):
    """Why; commands say themselves when they need it."""

    comment = long_text("Why", hint="It stays on record.")


# Risk.


class NewWaiver(forms.Form):
    """A wish that a requirement may be missed for a time."""

    model = line("Model", "Name the model.", names="models")
    version = whole("Version", hint="Empty for every version of the model.")
    what = one_of("Requirement", (), "Choose what is to be waived.")
    reason = long_text("Why it cannot be met", "Say why the requirement cannot be met: somebody decides on it.")
    compensating_control = long_text(
        "What reduces the risk meanwhile", "Say what reduces the risk while the requirement is missed.", rows=2
    )
    ends = day("Until", "Give the day on which it ends.", hint="It ends when this day begins, UTC.")

    def __init__(self, data: Any = None, *, requirements: Choices, **options: Any) -> None:
        super().__init__(data, **options)
        field = self.fields["what"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "Choose one"), *requirements]

    def clean_what(self) -> tuple[str, str]:
        policy, _, requirement = str(self.cleaned_data["what"]).partition("/")
        return policy, requirement


class NewFinding(forms.Form):
    """A problem with a model."""

    model = line("Model", "Name the model.", names="models")
    version = whole("Version", hint="The one it was seen on; empty for the newest.")
    title = line("What is wrong", "Say in a line what is wrong.", most=200)
    description = long_text("Details", rows=4, most=50_000)
    severity = one_of("Severity", [("", "Choose one"), *Severity.choices], "Say how grave it is.")
    owner = line("Owner", hint="The account of who is to see to it.", most=150, names="accounts")
    due_on = day("Due on")


class FindingChange(forms.Form):
    """Another severity, owner or due date; what stays as it is was filled in."""

    severity = one_of("Severity", Severity.choices, "Say how grave it is.")
    owner = line("Owner", most=150, names="accounts")
    due_on = day("Due on")
    comment = long_text("Why", rows=2)


class FindingEvidence(forms.Form):
    """What was done about a finding."""

    comment = long_text("What was done about it", "Say what was done about it: a finding is closed with evidence.")
    check_run = one_of("Check run that shows it", ())

    def __init__(self, data: Any = None, *, runs: Choices, **options: Any) -> None:
        super().__init__(data, **options)
        field = self.fields["check_run"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "none"), *runs]


class Answers(forms.Form):
    """The questions of a questionnaire, and another tier than the answers give if somebody proposes one."""

    override_tier = one_of("Another tier should hold", [("", "As the answers give it"), *RiskTier.choices])
    override_reason = long_text("Why another", hint="A second person decides on it; until then the answers count.", rows=2)

    def __init__(self, data: Any = None, *, questions: Iterable[Question], **options: Any) -> None:
        super().__init__(data, **options)
        self.questions = list(questions)
        for question in self.questions:
            self.fields[question.id] = forms.ChoiceField(
                label=question.text,
                choices=[(choice.value, choice.label) for choice in question.choices],
                widget=forms.RadioSelect,
                error_messages={"required": "Choose one answer.", "invalid_choice": "Choose one answer."},
            )

    def answers(self) -> Mapping[str, str]:
        """Return the chosen value by question."""
        return {question.id: self.cleaned_data[question.id] for question in self.questions}
