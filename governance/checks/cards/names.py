"""How people write the metrics and the groups that checks measure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")
Part = tuple[str, str | None]  # a feature with a group, or with None for an aggregate over its groups


@dataclass(frozen=True)
class Name:
    """What a name stands for. metrics: any of these, as checks call them. share: it lies in [-1, 1], and people may write it in percent.

    What people write is scale x measured + shift: a Gini coefficient is 2 x ROC AUC - 1.
    """

    metrics: tuple[str, ...]
    share: bool = False
    scale: float = 1.0
    shift: float = 0.0


_COMPLEMENT = (-1.0, 1.0)
# Shares, by what checks call them; the first name is the metric's own.
_SHARES: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("roc_auc", "roc_auc.hand_till"): (
        *(
            "roc auc",
            "auc roc",
            "auc",
            "auroc",
            "area under the curve",
            "area under the roc curve",
            "area under roc",
            "c statistic",
        ),
        *("area under the receiver operating characteristic curve", "concordance statistic", "concordance index"),
    ),
    ("pr_auc",): (
        *("pr auc", "auc pr", "auprc", "average precision", "area under the precision recall curve", "area under the pr curve"),
    ),
    ("accuracy",): ("accuracy", "classification accuracy"),
    ("balanced_accuracy",): ("balanced accuracy",),
    ("precision", "positive_predictive_value"): ("precision", "positive predictive value", "ppv"),
    ("precision.macro",): ("macro precision", "macro averaged precision", "precision macro"),
    ("precision.weighted",): ("weighted precision", "precision weighted"),
    ("recall", "true_positive_rate"): ("recall", "sensitivity", "true positive rate", "tpr", "hit rate"),
    ("recall.macro",): ("macro recall", "macro averaged recall", "recall macro"),
    ("recall.weighted",): ("weighted recall", "recall weighted"),
    ("false_positive_rate",): ("false positive rate", "fpr", "fall out", "false alarm rate"),
    ("f1", "f1.macro", "f1.weighted"): ("f1", "f1 score", "f 1", "f measure", "f score"),
    ("f1.macro",): ("macro f1", "macro averaged f1", "f1 macro", "macro f1 score"),
    ("f1.weighted",): ("weighted f1", "f1 weighted", "weighted f1 score"),
    ("cohen_kappa",): ("cohen kappa", "cohen s kappa", "kappa"),
    ("mcc",): ("mcc", "matthews correlation", "matthews correlation coefficient"),
    ("mape",): ("mape", "mean absolute percentage error"),
    ("r2",): ("r2", "r squared", "coefficient of determination"),
    ("map",): ("mean average precision",),
    ("mrr",): ("mrr", "mean reciprocal rank"),
    ("demographic_parity_ratio",): (
        *(
            "demographic parity ratio",
            "statistical parity ratio",
            "parity ratio",
            "ratio of selection rates",
            "selection rate ratio",
        ),
        *("ratio of approval rates", "approval rate ratio"),
    ),
    ("demographic_parity_ratio", "impact_ratio"): (
        *("disparate impact", "disparate impact ratio", "adverse impact", "adverse impact ratio", "four fifths ratio"),
    ),
    ("impact_ratio",): ("impact ratio",),
    ("demographic_parity_difference",): (
        *("demographic parity difference", "statistical parity difference", "parity difference", "demographic parity gap"),
        *("difference of selection rates", "difference in selection rates", "selection rate difference"),
    ),
    ("equal_opportunity_ratio",): ("equal opportunity ratio",),
    ("equal_opportunity_difference",): ("equal opportunity difference", "equal opportunity gap"),
    ("equalized_odds_ratio",): ("equalized odds ratio", "equalised odds ratio"),
    ("equalized_odds_difference",): ("equalized odds difference", "equalised odds difference", "equalized odds gap"),
    ("predictive_parity_ratio",): ("predictive parity ratio",),
    ("predictive_parity_difference",): ("predictive parity difference", "predictive parity gap"),
    ("calibration_error",): ("calibration error", "expected calibration error", "ece"),
    ("selection_rate",): ("selection rate", "approval rate", "acceptance rate", "positive rate"),
    ("scoring_rate",): ("scoring rate",),
    ("text.exact_match",): ("exact match",),
    ("text.token_f1",): ("token f1",),
    ("text.refusal_rate",): ("refusal rate",),
    ("text.over_refusal_rate",): ("over refusal rate",),
    ("text.toxic_rate",): ("toxic rate", "toxicity rate"),
    ("text.leak_rate",): ("leak rate",),
}
_NUMBERS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("brier",): ("brier", "brier score", "brier loss"),
    ("log_loss",): ("log loss", "logloss", "logarithmic loss", "cross entropy", "cross entropy loss"),
    ("rmse",): ("rmse", "root mean squared error", "root mean square error"),
    ("mae",): ("mae", "mean absolute error"),
    ("median_absolute_error",): ("median absolute error",),
    ("max_error",): ("maximum error", "max error", "largest error"),
    ("drift.worst_psi", "drift.psi"): ("psi", "population stability index"),
}
_DERIVED: Mapping[str, Name] = {
    "gini": Name(("roc_auc",), True, 2.0, -1.0),
    "gini coefficient": Name(("roc_auc",), True, 2.0, -1.0),
    "gini index": Name(("roc_auc",), True, 2.0, -1.0),
    "somers d": Name(("roc_auc",), True, 2.0, -1.0),
    "error rate": Name(("accuracy",), True, *_COMPLEMENT),
    "misclassification rate": Name(("accuracy",), True, *_COMPLEMENT),
    "classification error": Name(("accuracy",), True, *_COMPLEMENT),
    "specificity": Name(("false_positive_rate",), True, *_COMPLEMENT),
    "true negative rate": Name(("false_positive_rate",), True, *_COMPLEMENT),
    "tnr": Name(("false_positive_rate",), True, *_COMPLEMENT),
    "false negative rate": Name(("recall", "true_positive_rate"), True, *_COMPLEMENT),
    "fnr": Name(("recall", "true_positive_rate"), True, *_COMPLEMENT),
    "miss rate": Name(("recall", "true_positive_rate"), True, *_COMPLEMENT),
}
# Groups that go by another word in running text.
_GROUPS = {
    "female": ("women", "woman", "females"),
    "f": ("women", "woman"),
    "male": ("men", "man", "males"),
    "m": ("men", "man"),
}
# What means a group only beside its feature: such words stand in any sentence.
_EVERYDAY = frozenset(
    {
        "yes",
        "no",
        "true",
        "false",
        "other",
        "none",
        "unknown",
        "good",
        "bad",
        "high",
        "low",
        "medium",
        "new",
        "old",
        "own",
        "free",
        "for",
    }
    | {"rent", "f", "m", "a", "b", "c", "all", "any", "critical", "info", "one", "two"}
)
_TOKEN = re.compile(r"[^\W_]+")
_GAP = re.compile(r"[\s\-_./=@'’&]{1,3}")


@dataclass(frozen=True)
class Found(Generic[T]):
    """A phrase at its place in a text."""

    start: int
    end: int
    meaning: T


class Lexicon(Generic[T]):
    """Finds phrases in a text, the longest first, whatever the case and the signs between words; a plural's s may follow."""

    def __init__(self, phrases: Mapping[str, T]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], T]]] = {}
        for phrase, meaning in phrases.items():
            if tokens := tuple(_TOKEN.findall(phrase.casefold())):
                self._by_first.setdefault(tokens[0], []).append((tokens, meaning))
        for each in self._by_first.values():
            each.sort(key=lambda entry: -len(entry[0]))

    def find(self, text: str) -> Iterator[Found[T]]:
        """Yield what is found, from left to right, without overlaps."""
        tokens = [(match[0].casefold(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
        at = 0
        while at < len(tokens):
            found = self._at(text, tokens, at)
            if found is None:
                at += 1
                continue
            count, meaning = found
            yield Found(tokens[at][1], tokens[at + count - 1][2], meaning)
            at += count

    def _at(self, text: str, tokens: Sequence[tuple[str, int, int]], at: int) -> tuple[int, T] | None:
        first = tokens[at][0]
        for phrase, meaning in [*self._by_first.get(first, ()), *self._by_first.get(first.removesuffix("s"), ())]:
            here = tokens[at : at + len(phrase)]
            if len(here) == len(phrase) and all(map(_same, here, phrase)) and _joined(text, here):
                return len(phrase), meaning
        return None


def _same(token: tuple[str, int, int], word: str) -> bool:
    return token[0] == word or (token[0] == f"{word}s" and word.isalpha() and len(word) > 1)


def _joined(text: str, tokens: Sequence[tuple[str, int, int]]) -> bool:
    return all(_GAP.fullmatch(text, one[2], other[1]) for one, other in pairwise(tokens))


def metric_names(measured: Iterable[str]) -> Lexicon[Name]:
    """Return the names of metrics: those known, and every metric that was measured by its own name."""
    names = {phrase: Name(metrics, share=True) for metrics, phrases in _SHARES.items() for phrase in phrases}
    names |= {phrase: Name(metrics) for metrics, phrases in _NUMBERS.items() for phrase in phrases}
    names |= _DERIVED
    for metric in measured:
        spoken = " ".join(_TOKEN.findall(metric.casefold()))
        names.setdefault(spoken, Name((metric,)))
    return Lexicon(names)


def parts_of(slice_: str) -> frozenset[Part]:
    """Return what a slice is of: `sex=female&age` is a group of sex, over all ages."""
    pieces = (piece.partition("=") for piece in slice_.split("&") if piece)
    return frozenset((unquote(feature), unquote(group) if equals else None) for feature, equals, group in pieces)


def slice_names(slices: Iterable[str]) -> Lexicon[Part]:
    """Return the names of features and groups: `sex=female`, `sex female`, `female`, `women`, `sex`.

    A group's word alone names it if it is no everyday word, and stands for a group of one feature only.
    """
    parts = sorted({part for slice_ in slices for part in parts_of(slice_)}, key=str)
    names: dict[str, Part] = {}
    owners: dict[str, set[str]] = {}
    for feature, group in parts:
        names[feature] = (feature, None)
        if group is not None:
            for word in _words_for(group):
                names[f"{feature} {word}"] = (feature, group)
                owners.setdefault(word, set()).add(feature)
    for feature, group in parts:
        for word in _words_for(group) if group is not None else ():
            told = word.casefold() not in _EVERYDAY and any(letter.isalpha() for letter in word)
            if told and owners[word] == {feature}:
                names.setdefault(word, (feature, group))
    return Lexicon(names)


def _words_for(group: str) -> tuple[str, ...]:
    return (group, *_GROUPS.get(group.casefold(), ()))
