"""Whether a model card says something, and whether the numbers it gives are those that were measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from governance.checks.base import SEVERITIES, Finding, Measurement, Result, Table
from governance.checks.cards import substance
from governance.checks.cards.substance import SECTIONS, Section
from governance.checks.subject import Subject

if TYPE_CHECKING:
    from governance.checks.cards.agreement import Held
    from governance.checks.cards.claimed import Claim
    from governance.checks.cards.names import Part

CLAIMS, READ = "card_claims", "card_sections"
_MOST_FINDINGS = 500
_MOST_CLAIMS = 5000


@dataclass(frozen=True)
class ModelCard:
    """Read the model card: sections that are asked for and what they hold, and numbers that are to agree with the measurements.

    `card.sections_filled` is the share of the required sections that say something, `card.missing_sections` counts those that are absent
    or hold nothing but a place for a text, `card.thin_sections` those with too few words, too few different ones, or the text of another
    section. `card.words` counts words of the whole card (`section=NAME` of one), `card.boilerplate` sections in which something stands
    for a text that is still to be written, or that repeat another. `card.claims` counts the numbers that are given for a metric,
    `card.claims_agreeing`, `card.claims_contradicted` and `card.claims_unmatched` how they compare with what the other checks of the same
    policy measured. A claim agrees if the measurement rounds to the digits written, lies within the tolerance, or has an interval that
    the claim lies in. What is said in words, in pictures or in another language than English is not compared, so no contradiction is no
    proof. The tables are `card_claims` and `card_sections`. A version without a card is one whose sections are all missing.

    Source: Mitchell et al. 2019, "Model Cards for Model Reporting" (sections); Broder 1997 (how alike two texts are).
    """

    name: ClassVar[str] = "model-card"
    revision: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = False
    needs_dataset: ClassVar[bool] = False
    asks_model: ClassVar[bool] = False
    reads_card: ClassVar[bool] = True
    reads_measurements: ClassVar[bool] = True

    required: tuple[str | Section, ...] = field(
        default=SECTIONS, metadata={"description": "Sections that must be there, by name, or with the least number of words."}
    )
    least_words: int = field(
        default=10,
        metadata={"minimum": 1, "description": "Words that a required section must have where it does not say itself."},
    )
    boilerplate: tuple[str, ...] = field(
        default=(), metadata={"description": "Further phrases that only hold a place, such as those of a template in use."}
    )
    absolute_tolerance: float = field(default=0.0, metadata={"minimum": 0, "description": "How far a number may be off."})
    relative_tolerance: float = field(
        default=0.0, metadata={"minimum": 0, "maximum": 1, "description": "The same, as a share of what was measured."}
    )
    within_interval: bool = field(default=True, metadata={"description": "Whether a number within the measured interval agrees."})

    def __post_init__(self) -> None:
        """Raise ValueError for no required section, one without a name or named twice, and for an empty phrase."""
        names = [substance.normal(each.name) for each in self._wanted()]
        if not names or len(set(names)) < len(names):
            raise ValueError("'required' must name sections, each of them once")
        if not all(phrase.strip() for phrase in self.boilerplate):
            raise ValueError("'boilerplate' must not hold empty texts")

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the findings, the worst first, then the measurements and the tables."""
        card = {name: text for name, text in subject.card.items() if text.strip()}
        sections = substance.examine(card, subject.earlier_card, self.boilerplate)
        subject.progress(0.3, "Comparing the numbers")
        held = self._held(card, subject)
        missing: list[tuple[str, str | None, str]] = []
        thin: list[tuple[str, str | None, str]] = []
        for wanted in self._wanted():
            name = substance.section_of(card, wanted.name)
            shortfall = sections[name].shortfall(wanted.words) if name is not None else "it is not there"
            if shortfall:
                (missing if name is None or sections[name].words == 0 else thin).append((wanted.name, name, shortfall))
        findings = [
            *(_unfilled("missing-section", *each) for each in missing),
            *(_unfilled("thin-section", *each) for each in thin),
            *_boilerplate(sections.values()),
            *_of_claims(held),
        ]
        findings.sort(key=lambda each: (-SEVERITIES.index(each.severity), each.location, each.rule, each.message))
        yield from findings[:_MOST_FINDINGS]
        required = len(self._wanted())
        filled = required - len(missing) - len(thin)
        yield Measurement("card.sections_filled", filled / required, n=required, method="share of the required sections")
        yield Measurement("card.missing_sections", float(len(missing)), n=required, method="count")
        yield Measurement("card.thin_sections", float(len(thin)), n=required, method="count")
        yield Measurement("card.words", float(sum(each.words for each in sections.values())), n=len(sections), method="count")
        for each in sections.values():
            yield Measurement("card.words", float(each.words), f"section={substance.normal(each.name)}", method="count")
        held_up = sum(bool(each.placeholders) or each.repeats for each in sections.values())
        yield Measurement("card.boilerplate", float(held_up), n=len(sections), method="count of sections")
        came_out = Counter(each.agrees for each in held)
        yield Measurement("card.claims", float(len(held)), method="count")
        for metric, outcome in (("agreeing", True), ("contradicted", False), ("unmatched", None)):
            yield Measurement(f"card.claims_{metric}", float(came_out[outcome]), n=len(held), method="count")
        yield _claims_table(held)
        yield _sections_table(sections.values())

    def _wanted(self) -> tuple[Section, ...]:
        return tuple(each if isinstance(each, Section) else Section(each, self.least_words) for each in self.required)

    def _held(self, card: dict[str, str], subject: Subject) -> list[Held]:
        from governance.checks.cards import agreement, claimed, claims, names  # the catalogue is read without them

        vocabulary = claimed.Vocabulary(
            names.metric_names({each.metric for each in subject.measured}),
            names.slice_names({each.slice for each in subject.measured}),
        )
        tolerance = agreement.Tolerance(self.absolute_tolerance, self.relative_tolerance, self.within_interval)
        found = [claim for name, text in sorted(card.items()) for claim in claims.read(name, text, vocabulary)]
        return [agreement.hold(claim, subject.measured, tolerance) for claim in found[:_MOST_CLAIMS]]


def _unfilled(rule: str, wanted: str, name: str | None, reason: str) -> Finding:
    called = f"The section {wanted}" + (
        f" (here {name})" if name is not None and substance.normal(name) != substance.normal(wanted) else ""
    )
    return Finding(rule, "medium", f"card.{name or wanted}", f"{called} is not filled: {reason}.")


def _boilerplate(sections: Iterable[substance.Read]) -> Iterator[Finding]:
    for each in sections:
        place = f"card.{each.name}"
        if each.placeholders:
            yield Finding("boilerplate", "low", place, f"This stands for a text: {'; '.join(each.placeholders[:5])}.")
        if each.repeats:
            message = f"{each.alike:.0%} of its text is that of the section {each.closest}. Say in each what it is there for."
            yield Finding("boilerplate", "low", place, message)


def _of_claims(held: Sequence[Held]) -> Iterator[Finding]:
    """Yield what is contradicted and what could not be compared; the same number of the same section once."""
    seen: set[tuple[str, str]] = set()
    for each in held:
        claim, source = each.claim, each.source
        slice_ = f"[{source.slice}]" if source and source.slice else ""
        place = f"card.{claim.section}: {source.metric if source else claim.name.metrics[0]}{slice_}"
        if each.agrees is False and source is not None and each.measured is not None:
            interval = (
                f" (95 % interval {each.low:.4g} to {each.high:.4g})" if each.low is not None and each.high is not None else ""
            )
            message = (
                f"The section {claim.section} says {_written(claim)}: {claim.text!r}. The check {source.check} measured "
                f"{each.measured:.4g}{interval} in the run {source.run}. Correct the card, or find out why they differ."
            )
            finding = Finding("contradicted-number", "high", place, message)
        elif each.agrees is None:
            finding = Finding("unmatched-claim", "info", place, f"{claim.text!r} was not compared: {each.reason}.")
        else:
            continue
        if (finding.location, finding.message) not in seen:
            seen.add((finding.location, finding.message))
            yield finding


def _written(claim: Claim) -> str:
    """Return a claim's number as a value of the metric."""
    number = claim.number
    if claim.relation != "=":
        return f"{'at least' if claim.relation == '>=' else 'at most'} {number.value:.6g}"
    return f"{number.low:.6g}" if number.low == number.high else f"{number.low:.6g} to {number.high:.6g}"


def _claims_table(held: Sequence[Held]) -> Table:
    words = {True: "yes", False: "no", None: "not compared"}
    rows = tuple(
        (
            each.claim.section,
            each.claim.text,
            each.source.metric if each.source else each.claim.name.metrics[0],
            each.source.slice if each.source else "&".join(sorted(_shown(part) for part in each.claim.parts)),
            each.claim.number.value,
            each.measured,
            words[each.agrees],
            each.reason,
        )
        for each in held
    )
    columns = ("section", "claim", "metric", "slice", "claimed", "measured", "agrees", "reason")
    return Table(CLAIMS, "Numbers that the card gives, and what was measured", columns, rows)


def _shown(part: Part) -> str:
    feature, group = part
    return feature if group is None else f"{feature}={group}"


def _sections_table(sections: Iterable[substance.Read]) -> Table:
    """Return what each section is made of. distinct: share of different words; the last two: how alike it is to other texts."""
    columns = ("section", "words", "distinct", "sentences", "closest_section", "alike", "alike_to_earlier_card")
    rows = tuple(
        (
            each.name,
            each.words,
            each.distinct / each.words if each.words else None,
            each.sentences,
            each.closest,
            each.alike,
            each.before,
        )
        for each in sections
    )
    return Table(READ, "What the sections of the card are made of", columns, rows)
