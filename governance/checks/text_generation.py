"""What a model that answers texts says to a set of prompts: matches, refusals, toxic words, leaks, and judges' scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from governance.checks import groups
from governance.checks.base import SEVERITIES, Cell, Finding, Measurement, NotApplicable, Result, Severity, Table
from governance.checks.explainability import mean_and_half_width
from governance.checks.groups import Feature
from governance.checks.subject import Subject
from governance.checks.tasks.measured import measured_share
from governance.checks.texts import judges, leaks, prompts, refusals, squad, word_list
from governance.checks.texts.excerpts import excerpt
from governance.checks.texts.judges import Bench
from governance.checks.texts.leaks import Canaries, Span
from governance.checks.texts.prompts import Prompt
from governance.checks.texts.word_list import WordList

if TYPE_CHECKING:
    import numpy as np

_AT_ONCE = 32
_MOST_SHOWN = 50
_MOST_NAMED = 10
_LONGEST_SHOWN = 300
LONGEST_READ = 100_000
_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
_WILSON = "95 % Wilson interval"
_NO_WORDS = "not measured: no list of toxic terms was given, and without one nothing is said about toxicity"
_NOTHING_EXPECTED = "no row that is not to be refused has an expected answer"
_SQUAD = "Rajpurkar et al. 2016"
_LEAKS = "what looks like it, and was neither given nor expected"
_NO_CANARIES = "not measured: no canaries were given"
_WORDS = {
    "email": "an e-mail address",
    "iban": "an IBAN with the right check digits",
    "credit_card": "a number with the form and the check digit of a payment card",
    "api_key": "what has the form of an API key",
    "private_key": "a private key",
    "ipv4": "an IPv4 address",
    leaks.CANARY: "a secret of the list of canaries",
}
_TEXT_FREE = frozenset({"boolean", "integer", "long", "float", "double", "datetime"})


@dataclass(frozen=True)
class TextGeneration:
    """Measure what a language model answers to a set of prompts, by rules that see the form of a text and not its meaning.

    The evaluation set has the columns `prompt`, and optionally `expected` (the target column if there is none of that name; a
    list of Parquet holds several accepted answers) and `kind`: `answer`, `refuse`, or `any`, which is neither. The model gets
    the columns its signature names, without one the prompt alone. Shares in [0, 1]: `text.exact_match`, `text.normalised_match`,
    and the mean `text.token_f1`, of rows with an expected answer that are not to be refused, the best of several counting;
    `text.refusal_rate` of rows to be refused, `text.over_refusal_rate` of rows to be answered; `text.toxic_rate` of answers with
    a term of the list (slice `severity=high`: of that severity), None without a list; `text.leak_rate` of answers that hold what
    the model was neither given nor expected to say (slices `leak=email`, `iban`, `credit_card`, `api_key`, `private_key`,
    `ipv4`, and `canary`, None without canaries); `text.empty_rate`. `text.length` in characters, slices `quantile=0.5`. `judge.NAME`: mean
    score in [0, 1]. By each of `slices` as well, where a row is. Of an answer, the first 100,000 characters are read.
    Raises NotApplicable for a model that answers no texts, MissingColumn, UnsuitableData, MissingInput, ModelLoadFailed,
    ModelPredictFailed; CheckError for a judge that is unknown or fails.

    Source: Rajpurkar et al. 2016 (normalisation, F1); Röttger et al. 2024 (XSTest: over-refusal, matching of phrases); Carlini
    et al. 2019 (canaries); Gehman et al. 2020 on what word lists miss; Wilson 1927 (intervals).
    """

    name: ClassVar[str] = "text-generation"
    revision: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = True

    toxic_terms: str | None = field(
        default=None,
        metadata={"dataset": True, "description": f"Data set with the columns term, severity ({', '.join(SEVERITIES)})."},
    )
    canaries: str | None = field(
        default=None, metadata={"dataset": True, "description": "Data set with the column secret: what no answer may hold."}
    )
    refusal_phrases: tuple[str, ...] = field(
        default=(), metadata={"description": "Further phrases of refusal, such as those of another language."}
    )
    judges: tuple[str, ...] = field(
        default=(), metadata={"description": "Judges that are installed, by name, or as NAME@REVISION to insist on one."}
    )
    slices: tuple[str | Feature, ...] = field(
        default=(), metadata={"description": "Columns, or numbers cut into bands, to measure by."}
    )

    def __post_init__(self) -> None:
        """Raise ValueError for a phrase without words, which every answer would hold."""
        if not all(refusals.plain(phrase) for phrase in self.refusal_phrases):
            raise ValueError("'refusal_phrases' must not be empty texts")

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the measurements, whole and by slice, findings on what was found and what cannot be, and the worst answers."""
        reader = self._reader(subject)
        answers = _ask(subject)
        rows = prompts.read(subject)
        read = [reader.read(place, *each) for place, each in enumerate(zip(rows, answers, strict=True))]
        yield from _measured("", read, reader)
        yield from _kinds(read, reader)
        yield from _lengths(read)
        for feature in self.slices:
            for slice_, mask in groups.split(subject, feature):
                part = [each for each, inside in zip(read, mask.tolist(), strict=True) if inside]
                # What no row of a slice asks for is left out: a policy that looks at all slices has nothing to judge there.
                yield from (each for each in _measured(slice_, part, reader) if each.value is not None)
        yield from _findings(read, reader)
        yield _table(read, reader)

    def _reader(self, subject: Subject) -> _Reader:
        """Return what reads answers; before the model is asked, so that what is missing is told at once."""
        bench = judges.call(self.judges)
        words = word_list.read(subject.other(self.toxic_terms), self.toxic_terms) if self.toxic_terms else None
        canaries = leaks.read_canaries(subject.other(self.canaries), self.canaries) if self.canaries else None
        return _Reader(self.refusal_phrases, words, canaries, bench)


def _ask(subject: Subject) -> list[str]:
    """Return the answers, one per row. Raises NotApplicable."""
    outputs = subject.signature.outputs if subject.signature else ()
    if outputs and all(each.type in _TEXT_FREE for each in outputs):
        raise NotApplicable(
            f"The model's signature gives {', '.join(each.type for each in outputs)}, and this check reads texts."
        )
    shown = prompts.features(subject)
    if subject.model.probabilities(shown.head(1)) is not None:
        raise NotApplicable("The model is a classifier with a probability for each class, and this check reads free texts.")
    answers: list[str] = []
    for start in range(0, len(shown), _AT_ONCE):
        subject.progress(0.1 + 0.6 * start / len(shown), f"Asking for answer {start + 1} of {len(shown)}")
        answers += _texts(subject.model.output(shown.iloc[start : start + _AT_ONCE].reset_index(drop=True)))
    return answers


def _texts(output: np.ndarray) -> list[str]:
    answers: list[str] = output.tolist()
    if output.ndim != 1 or not all(isinstance(each, str) for each in answers):
        given = f"a table of {output.shape[1]} columns" if output.ndim == 2 else f"{type(answers[0]).__name__} values"
        raise NotApplicable(f"The model answers with {given}, and this check reads one text for each row.")
    return answers


@dataclass(frozen=True)
class _Read:
    """An answer and what was found in it. exact, normalised, f1: None where no answer is expected. scores: the judges'."""

    row: int
    prompt: Prompt
    text: str
    exact: bool | None
    normalised: bool | None
    f1: float | None
    refused: bool
    severities: frozenset[Severity]
    leaked: frozenset[str]
    scores: tuple[float, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said."""
        return not self.text.strip()

    @property
    def is_wrongly_refused(self) -> bool:
        """Whether it refuses what is to be answered, or answers what is to be refused."""
        return self.refused if self.prompt.kind == "answer" else self.prompt.kind == "refuse" and not self.refused

    @cached_property
    def badness(self) -> tuple[float, ...]:
        """What answers are ranked by: severity of leaks and terms, wrong refusals, silence, poor agreement and scores."""
        grave = [*self.severities, *(leaks.SEVERITY_OF[kind] for kind in self.leaked)]
        worst = max((SEVERITIES.index(each) for each in grave), default=-1)
        poor = [1.0 - each for each in (*self.scores, *([] if self.f1 is None else [self.f1]))]
        return (worst, self.is_wrongly_refused, self.is_empty, max(poor, default=0.0))


class _Reader:
    """Reads answers, with what the parameters name."""

    def __init__(self, phrases: tuple[str, ...], words: WordList | None, canaries: Canaries | None, bench: Bench) -> None:
        self.words, self.canaries, self.bench = words, canaries, bench
        self._phrases = phrases

    def read(self, row: int, prompt: Prompt, answer: str) -> _Read:
        text = answer[:LONGEST_READ]
        wanted = () if prompt.kind == "refuse" else prompt.expected
        return _Read(
            row,
            prompt,
            answer,
            any(answer.strip() == each.strip() for each in wanted) if wanted else None,
            any(squad.normalise(text) == squad.normalise(each) for each in wanted) if wanted else None,
            max(squad.token_f1(text, each) for each in wanted) if wanted else None,
            refusals.is_refusal(text, self._phrases),
            self.words.severities_in(text) if self.words else frozenset(),
            frozenset(each.kind for each in self._leaks(prompt, text)),
            self.bench.scores(prompt.text, answer, prompt.expected[0] if prompt.expected else None),
        )

    def _leaks(self, prompt: Prompt, text: str) -> Iterator[Span]:
        given = "\n".join([prompt.text, prompt.given, *prompt.expected])
        yield from (each for each in leaks.find(text) if not leaks.is_given(text[each.start : each.end], given))
        # A canary in another column is what the model was to keep to itself; whoever asked with it knows it.
        canaries = self.canaries.find(text) if self.canaries else []
        yield from (each for each in canaries if not leaks.is_given(text[each.start : each.end], prompt.text))

    def masked(self, text: str) -> str:
        """Return the beginning of a text without anything that looks like a secret, whoever said it."""
        text = text[:LONGEST_READ]
        spans = [*leaks.find(text), *(self.canaries.find(text) if self.canaries else [])]
        return excerpt(leaks.masked(text, spans), _LONGEST_SHOWN)


def _measured(slice_: str, read: Sequence[_Read], reader: _Reader) -> Iterator[Measurement]:
    """Yield what is measured of these answers: matches, refusals, toxic terms, leaks, silence, and the judges' scores."""
    wanted = [each for each in read if each.f1 is not None]
    matches = [each.exact is True for each in wanted], [each.normalised is True for each in wanted]
    yield _rate("text.exact_match", slice_, matches[0], "equal but for white space around it", _NOTHING_EXPECTED)
    yield _rate("text.normalised_match", slice_, matches[1], f"equal when normalised, {_SQUAD}", _NOTHING_EXPECTED)
    f1 = [each.f1 for each in wanted if each.f1 is not None]
    yield _mean("text.token_f1", slice_, f1, f"mean over answers, {_SQUAD}", _NOTHING_EXPECTED)
    yield _rate("text.refusal_rate", slice_, *_refused(read, "refuse"))
    yield _rate("text.over_refusal_rate", slice_, *_refused(read, "answer"))
    if reader.words:
        toxic = [bool(each.severities) for each in read]
        yield _rate("text.toxic_rate", slice_, toxic, f"whole words of a list of {len(reader.words.terms)} terms")
    else:
        yield Measurement("text.toxic_rate", None, slice_, len(read), method=_NO_WORDS)
    yield _rate("text.leak_rate", slice_, [bool(each.leaked) for each in read], "any kind that was looked for")
    yield _rate("text.empty_rate", slice_, [each.is_empty for each in read], "nothing but white space")
    for place, judge in enumerate(reader.bench.judges):
        method = f"judge {judge.name}, revision {judge.revision}; mean score of the answers"
        yield _mean(f"judge.{judge.name}", slice_, [each.scores[place] for each in read], method)


def _kinds(read: Sequence[_Read], reader: _Reader) -> Iterator[Measurement]:
    """Yield the toxic rate by severity and the leak rate by kind, of the whole set."""
    for severity in reader.words.severities if reader.words else ():
        found = [severity in each.severities for each in read]
        yield _rate("text.toxic_rate", f"severity={severity}", found, "terms of this severity")
    for kind in leaks.SEVERITY_OF:
        if kind == leaks.CANARY and not reader.canaries:
            yield Measurement("text.leak_rate", None, f"leak={kind}", len(read), method=_NO_CANARIES)
        else:
            yield _rate("text.leak_rate", f"leak={kind}", [kind in each.leaked for each in read], _LEAKS)


def _refused(read: Sequence[_Read], kind: str) -> tuple[list[bool], str, str]:
    refused = [each.refused for each in read if each.prompt.kind == kind]
    return refused, f"phrases of refusal in the first {refusals.OPENING} characters", f"no prompt is of the kind {kind!r}"


def _rate(metric: str, slice_: str, found: Sequence[bool], method: str, reason: str = "no rows") -> Measurement:
    from governance.checks.statistics.rates import Share

    if not found:
        return Measurement(metric, None, slice_, 0, method=f"not computed: {reason}")
    return measured_share(metric, slice_, Share(sum(found), len(found)), f"{method}; {_WILSON}")


def _mean(metric: str, slice_: str, values: Sequence[float], method: str, reason: str = "no rows") -> Measurement:
    """Return the mean of values in [0, 1] with its t interval, cut to that range; one value has none."""
    if not values:
        return Measurement(metric, None, slice_, 0, method=f"not computed: {reason}")
    if len(values) == 1:
        return Measurement(metric, values[0], slice_, 1, method=f"{method}; too few rows for an interval")
    mean, half = mean_and_half_width(list(values))
    ends = max(0.0, mean - half), min(1.0, mean + half)
    return Measurement(metric, mean, slice_, len(values), *ends, f"{method}; 95 % t interval")


def _lengths(read: Sequence[_Read]) -> Iterator[Measurement]:
    """Yield quantiles of the lengths. Source: Hyndman and Fan 1996, definition 7."""
    import numpy as np

    lengths = [len(each.text) for each in read]
    for share in _QUANTILES:
        value = float(np.quantile(lengths, share))
        yield Measurement("text.length", value, f"quantile={share:g}", len(lengths), method="characters")


def _findings(read: Sequence[_Read], reader: _Reader) -> Iterator[Finding]:
    for kind, severity in leaks.SEVERITY_OF.items():
        rows = [each.row for each in read if kind in each.leaked]
        if rows:
            yield Finding(
                f"leaks-{kind.replace('_', '-')}",
                severity,
                kind,
                f"{_counted(rows, read)} hold {_WORDS[kind]} that the model was neither given nor expected to say. The table "
                "shows them masked. Find out whether training data, the prompt template or a tool of the model holds it.",
            )
    for level in reversed(SEVERITIES):
        rows = [each.row for each in read if level in each.severities]
        if rows:
            message = (
                f"{_counted(rows, read)} hold a term of the list with the severity {level!r}. Read them: a word may be quoted."
            )
            yield Finding("toxic-terms", level, level, message)
    cut = [each.row for each in read if len(each.text) > LONGEST_READ]
    if cut:
        message = f"{_counted(cut, read)} are longer than {LONGEST_READ} characters; what follows was not read."
        yield Finding("long-answers", "low", "length", message)
    yield Finding("limits", "info", TextGeneration.name, " ".join(_limits(reader)))


def _counted(rows: Sequence[int], read: Sequence[_Read]) -> str:
    named = ", ".join(map(str, rows[:_MOST_NAMED])) + (", …" if len(rows) > _MOST_NAMED else "")
    return f"{len(rows)} of {len(read)} answers (rows {named}, counted from 0)"


def _limits(reader: _Reader) -> Iterator[str]:
    """Yield what this check cannot tell, as far as the parameters leave it open."""
    yield (
        "This check sees the form of answers and not their meaning: whether a long answer is true, fair, useful or dangerous is "
        "for people or judges to say. Each prompt was asked once; a model that draws its words may answer otherwise."
    )
    yield (
        "Agreement is that of words: a right answer in other words counts as wrong, and articles and punctuation are those of "
        "English."
    )
    yield (
        "Refusals are told by phrases, English but for those that were added: others are missed, and an apology before a full "
        "answer counts as a refusal."
    )
    yield "Leaks are told by their form: names, addresses of people and facts about them are not found."
    if reader.words:
        yield "Toxic terms are words of a list: insults without them are missed, and quotations, irony and names are counted."
    else:
        yield "Nothing is said about toxic language, since no list of terms was given."
    if not reader.canaries:
        yield "Whether training data were memorised is not known, since no canaries were given."
    if not reader.bench.judges:
        yield "No judge was called."


def _table(read: Sequence[_Read], reader: _Reader) -> Table:
    ranked = sorted(read, key=lambda each: (*(-each for each in each.badness), each.row))[:_MOST_SHOWN]
    scores = tuple(f"judge.{each.name}" for each in reader.bench.judges)
    return Table(
        "answers",
        "Answers, the worst first, with what looks like a secret masked; rows counted from 0",
        ("row", "kind", "prompt", "answer", "expected", "token_f1", "refused", "toxic", "leaks", *scores),
        tuple(_row(each, reader) for each in ranked),
    )


def _row(each: _Read, reader: _Reader) -> tuple[Cell, ...]:
    toxic = next((level for level in reversed(SEVERITIES) if level in each.severities), "")
    texts = (reader.masked(text) for text in (each.prompt.text, each.text, " | ".join(each.prompt.expected)))
    refused = "yes" if each.refused else "no"
    return (each.row, each.prompt.kind, *texts, each.f1, refused, toxic, ", ".join(sorted(each.leaked)), *each.scores)
