"""What people may fill in on the registers of risk, operations, policies, signing keys, people and webhooks, and what is said of mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from django import forms

from governance.models import Severity
from governance.questionnaire import Question
from registry.models import RiskTier
from workflows.queries.simulation import MOST_DAYS

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


class Draft(Document):
    """A draft of a policy, with how far back and with which values to judge."""

    days = whole("Days back", "Say how many days back.", most=MOST_DAYS)
    parameters = long_text(
        "Parameter values", hint='As JSON, such as {"min_parity_ratio": 0.85}; they go before the bound ones.', rows=2
    )
    every = forms.BooleanField(
        label="Also requests that this policy did not judge", required=False, help_text="As for a policy that is new."
    )

    def clean_parameters(self) -> dict[str, Any]:
        text = str(self.cleaned_data["parameters"]).strip()
        if not text:
            return {}
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise forms.ValidationError('Write an object as JSON, such as {"min_parity_ratio": 0.85}.')
        return found


class Comment(forms.Form):
    """Why something is done."""

    comment = long_text("Why", "Say why: it stays on record.", hint="It stays on record.")


class NewSigningKey(forms.Form):
    """A public key that a service account signs its reports with."""

    name = line("Name", "Give it a name: it is shown beside what it signed.", most=100)
    owner = line("Service account", "Name the service account that signs with it.", most=150, names="accounts")
    valid_from = day("Valid from", hint="From when this day begins, UTC; empty for now.")
    valid_to = day("Valid until", "Give the day on which it ends.", hint="It ends when this day begins, UTC.")
    public_key = forms.CharField(
        label="Public key",
        max_length=5000,
        help_text="As PEM: Ed25519, or ECDSA on the curve P-256. Never the private key.",
        widget=forms.Textarea(attrs={"rows": 5, "class": "code", "spellcheck": "false"}),
        error_messages={"required": "Paste the public key, from BEGIN to END."},
    )

    def asked(self) -> dict[str, Any]:
        """Return what the command takes."""
        given = self.cleaned_data
        begins = given["valid_from"]
        return {
            **{name: given[name] for name in ("name", "owner", "public_key")},
            "valid_from": begin_of(begins) if begins else None,
            "valid_to": begin_of(given["valid_to"]),
        }


class Revocation(forms.Form):
    """Why a key ends before its time."""

    reason = long_text("Why", "Say why: what was signed with the key is judged by it.", hint="It stays on record.", rows=2)


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


# Operations.

_UNITS = {"minutes": 1, "hours": 60, "days": 1440}
WEEKDAYS = [(str(number), name) for number, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))]


def _clock(label: str, missing: str) -> forms.TimeField:
    return forms.TimeField(
        label=label,
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        error_messages={"required": missing, "invalid": "Give a time such as 09:00."},
    )


class NewFreeze(forms.Form):
    """A time, perhaps recurring, in which approved requests wait."""

    name = line("Name", "Give it a name, such as year-end.", hint="Small letters, digits and hyphens.", most=100)
    reason = line("Reason", "Say why: whoever waits is shown it.", most=300)
    starts = forms.CharField(
        label="Begins",
        max_length=19,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="Local time in the zone.",
        error_messages={"required": "Say when it begins, as in 2026-12-20T00:00."},
    )
    zone = line(
        "Time zone", "Name the time zone, such as Europe/Berlin or UTC.", hint="Such as Europe/Berlin.", most=64, names="zones"
    )
    lasts = whole("Lasts", "Say how long it lasts.", most=527_040)
    unit = one_of("Unit", [(unit, unit) for unit in _UNITS], "Choose a unit.", initial="hours")
    rrule = line("Repeats", hint="As in RFC 5545: FREQ=WEEKLY;BYDAY=FR. Empty for a single time.", most=300)
    models = line("Models", hint="Patterns such as credit.*, parted by spaces. Empty for every model.", most=2000)
    risk_tiers = several("Risk tiers", RiskTier.choices, hint="None ticked means every tier.")
    stages = line("Stages", hint="Empty, with aliases, for every place.", most=2000)
    aliases = line("Aliases", most=2000)

    def asked(self) -> dict[str, Any]:
        """Return what the command takes."""
        given = self.cleaned_data
        return {
            **{name: given[name] for name in ("name", "reason", "starts", "zone", "rrule", "risk_tiers")},
            "duration_minutes": given["lasts"] * _UNITS[given["unit"]],
            **{name: named(given[name]) for name in ("models", "stages", "aliases")},
        }


class NewCalendar(forms.Form):
    """The days and hours by which deadlines are counted."""

    name = line(
        "Name", "Give it a name, such as default.", hint="The one called default holds where a policy names none.", most=100
    )
    zone = line(
        "Time zone", "Name the time zone, such as Europe/Berlin or UTC.", hint="Such as Europe/Berlin.", most=64, names="zones"
    )
    weekdays = several("Working days", WEEKDAYS, "Choose at least one working day.")
    opens = _clock("Opens", "Say when the day begins, as in 09:00.")
    closes = _clock("Closes", "Say when the day ends, as in 17:00; 00:00 is midnight.")
    holidays = long_text("Holidays", hint="Days such as 2026-12-25, parted by spaces or new lines.", rows=4, most=120_000)

    def clean_holidays(self) -> list[date]:
        found = []
        for text in named(self.cleaned_data["holidays"]):
            try:
                found.append(date.fromisoformat(text))
            except ValueError:
                raise forms.ValidationError(f"{text} is no day; write it as in 2026-12-25.") from None
        return found


class NewEmergency(forms.Form):
    """A move past the gate that cannot wait."""

    model = line("Model", "Name the model.", names="models")
    version = whole("Version", "Say which version.")
    place = line(
        "Place",
        "Name the stage, or the alias with its @.",
        hint="A stage such as Production, or an alias such as @champion.",
        most=256,
    )
    incident = line("Incident", "Name the incident, such as INC-2041.", hint="Such as INC-2041.", most=100)
    minutes = whole("Minutes", "Say for how many minutes.", hint="At most 1,440, from the confirmation on.", most=1440)
    reason = long_text(
        "Why it cannot wait", "Say why it cannot wait: somebody else must confirm it, and it is reviewed afterwards."
    )

    def clean_place(self) -> tuple[str, str]:
        place = str(self.cleaned_data["place"]).strip()
        return ("alias", place[1:]) if place.startswith("@") else ("stage", place)


class Refusal(forms.Form):
    """Why an emergency does not take place."""

    comment = long_text("Why", hint="It stays on record.", rows=2)


class ReviewNote(forms.Form):
    """What somebody found who looked at an emergency afterwards."""

    note = long_text("What you found, and what follows from it", "Say what you found, and what follows from it.")


class NewEvent(forms.Form):
    """Something that happened to a model or its data."""

    model = line("Model", "Name the model.", names="models")
    version = whole("Version", hint="Empty for every version in use.")
    cause = one_of("What happened", (), "Choose what happened.")
    dataset = line("Data set", hint="The one that is recalled, as name@v2; only then.", most=600)
    detail = long_text("Details", "Say what happened: a reviewer decides on it.")

    def __init__(self, data: Any = None, *, causes: Choices, **options: Any) -> None:
        super().__init__(data, **options)
        field = self.fields["cause"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "Choose one"), *causes]


# People.


class NewDelegation(forms.Form):
    """Who stands in for whom, and for how long. delegator: only for who manages accounts."""

    delegator = line("In place of", hint="An account; empty for your own place.", most=150, names="accounts")
    delegate = line(
        "Who stands in", "Name who stands in.", hint="The account of somebody who may review.", most=150, names="accounts"
    )
    starts = day("From", hint="From when this day begins, UTC; empty for now.")
    ends = day("Until", "Give the day on which it ends.", hint="It ends when this day begins, UTC; at most 90 days.")
    groups = line("Only for the groups", hint="Parted by spaces; empty for all.", most=1000)
    reason = line("Reason", "Say why: it stands beside every review that is given in somebody's place.", most=_LONGEST)

    def __init__(self, data: Any = None, *, for_others: bool, **options: Any) -> None:
        super().__init__(data, **options)
        if not for_others:
            del self.fields["delegator"]

    def asked(self) -> dict[str, Any]:
        """Return what the command takes."""
        given = self.cleaned_data
        starts = given["starts"]
        return {
            "delegator": given.get("delegator", ""),
            "delegate": given["delegate"],
            "starts_at": begin_of(starts) if starts else None,
            "ends_at": begin_of(given["ends"]),
            "groups": named(given["groups"]),
            "reason": given["reason"],
        }


class Mail(forms.Form):
    """Whether one wants mail."""

    wanted = forms.BooleanField(label="Send me mail about what waits for me", required=False)


# Webhooks.


class Endpoint(forms.Form):
    """An address outside that is told of events. model: only the events of this one; it stays as it is."""

    name = line("Name", "Give it a name by which people know it.", most=100)
    url = line(
        "Address",
        "Give the address, such as https://hooks.example.com/countersign.",
        hint="It takes POST, over https.",
        most=2000,
    )
    events = long_text(
        "Events",
        "Name the events, or * for all.",
        hint="Parted by spaces or new lines: names such as promotion.approved, beginnings such as promotion.*, or * for all.",
    )
    model = line("Only of the model", hint="Empty for all that you may read.", names="models")

    def __init__(self, data: Any = None, *, made: bool = False, **options: Any) -> None:
        super().__init__(data, **options)
        if made:
            del self.fields["model"]

    def clean_events(self) -> list[str]:
        return named(str(self.cleaned_data["events"]))
