"""How Countersign writes: the words of a state, numbers, times, digests. One meaning, one word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUS = "\u2212"


@dataclass(frozen=True)
class Status:
    """A tone, which also names the icon, and the word beside it."""

    tone: str
    word: str


_REQUIREMENT = {
    "satisfied": Status("pass", "Passed"),
    "unsatisfied": Status("fail", "Failed"),
    "error": Status("fail", "Error"),
    "pending": Status("run", "Running"),
    "waived": Status("waive", "Waived"),
    "overridden": Status("waive", "Overridden"),
    "not_applicable": Status("pass", "Not needed"),
}

_REQUEST = {
    "draft": Status("wait", "Draft"),
    "checking": Status("run", "Open, checks running"),
    "in_review": Status("wait", "Open, in review"),
    "changes_requested": Status("warn", "Changes asked for"),
    "approved": Status("pass", "Approved, not carried out"),
    "executing": Status("run", "Being carried out"),
    "done": Status("pass", "Promoted"),
    "rejected": Status("fail", "Rejected"),
    "withdrawn": Status("wait", "Withdrawn"),
    "expired": Status("wait", "Expired"),
    "superseded": Status("wait", "Superseded"),
    "failed": Status("fail", "Failed"),
}

_DONE = {"rollback": "Rolled back", "re_review": "Confirmed"}
_KIND = {"promotion": "Promotion", "rollback": "Rollback", "re_review": "Re-review"}

_MODE = {
    "enforce": Status("acc", "Enforced"),
    "warn": Status("warn", "Warns only"),
    "shadow": Status("wait", "Shadow"),
}

_CHECK = {
    "queued": Status("wait", "Waiting"),
    "preparing": Status("run", "Preparing"),
    "running": Status("run", "Running"),
    "passed": Status("pass", "Measured"),
    "failed": Status("warn", "Found problems"),
    "error": Status("fail", "Broke"),
    "timed_out": Status("fail", "Timed out"),
    "cancelled": Status("wait", "Cancelled"),
    "skipped": Status("wait", "Skipped"),
}

_VERDICT = {
    "approve": Status("pass", "Approved"),
    "request_changes": Status("warn", "Asked for changes"),
    "reject": Status("fail", "Rejected"),
    "abstain": Status("wait", "Abstained"),
}

_SEVERITY = {
    "info": Status("wait", "Info"),
    "low": Status("wait", "Low"),
    "medium": Status("warn", "Medium"),
    "high": Status("fail", "High"),
    "critical": Status("fail", "Critical"),
}

_EMERGENCY = {
    "requested": Status("wait", "Waits to be confirmed"),
    "in_force": Status("fail", "In force"),
    "reverted": Status("warn", "Over, to be looked at"),
    "closed": Status("pass", "Looked at"),
    "refused": Status("wait", "Refused"),
}

_CAUSE = {
    "clock": "Its time is up",
    "dataset_recalled": "Its data was recalled",
    "vulnerability": "A vulnerability became known",
    "drift": "It drifted",
    "incident": "An incident",
    "tier_changed": "Its risk tier changed",
    "waiver_expired": "A waiver expired",
}

# Titles of the metrics that the built-in checks emit; any other name is shown as written, with spaces for underscores.
_METRICS = {
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "f1": "F1",
    "mcc": "Matthews correlation",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R squared",
    "mape": "MAPE",
    "map": "MAP",
    "mrr": "MRR",
    "cohen_kappa": "Cohen\u2019s kappa",
    "roc_auc.hand_till": "Hand and Till\u2019s M",
    "demographic_parity_ratio": "Parity ratio",
    "demographic_parity_difference": "Parity difference",
    "equalized_odds_difference": "Equalised odds difference",
}
# Heads of the columns that checks write; any other is written as words. Abbreviations are those of the field.
_COLUMNS = {
    "bytes": "Size, bytes",
    "ci_high": "CI high",
    "ci_low": "CI low",
    "cpe": "CPE",
    "cve": "CVE",
    "cvss": "CVSS",
    "ece": "ECE",
    "false_positive_rate": "False positive rate (FPR)",
    "id": "ID",
    "js": "JS divergence",
    "ks": "KS",
    "ks_or_cramers_v": "KS or Cramér\u2019s V",
    "n": "n",
    "p_value": "p-value",
    "psi": "PSI",
    "purl": "PURL",
    "q05": "5th percentile",
    "q25": "25th percentile",
    "q50": "Median",
    "q75": "75th percentile",
    "q95": "95th percentile",
    "scoring_ci_high": "Scoring CI high",
    "scoring_ci_low": "Scoring CI low",
    "sha256": "SHA-256",
    "shapley": "Shapley value",
    "spdx": "SPDX",
    "true_positive_rate": "True positive rate (TPR)",
    "uri": "URI",
    "url": "URL",
}
_LOWER_IS_BETTER = (
    "log_loss",
    "brier",
    "rmse",
    "mae",
    "mape",
    "median_absolute_error",
    "max_error",
    "false_positive_rate",
    "calibration_error",
    "calibration_difference",
    "predictive_parity_difference",
    "expected_calibration_error",
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "latency",
)
_HIGHER_IS_BETTER = (
    "roc_auc",
    "pr_auc",
    "f1",
    "mcc",
    "r2",
    "map",
    "mrr",
    "cohen_kappa",
    "roc_auc.hand_till",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "specificity",
    "demographic_parity_ratio",
    "equalized_odds_ratio",
    "equal_opportunity_ratio",
    "predictive_parity_ratio",
    "positive_predictive_value",
    "impact_ratio",
)
_AGAINST = ".difference"  # of this version and the champion
_LIMIT_SIGN = {"at_least": "≥", "at_most": "≤", "equal": ""}


def requirement(state: str, kind: str = "evidence") -> Status:
    """Return the status of a requirement. Missing approval is waiting, not failure."""
    if kind == "approval" and state == "pending":
        return Status("wait", "Waiting")
    return _REQUIREMENT[state]


def request(state: str, kind: str = "promotion") -> Status:
    """Return the status of a request."""
    if state == "done" and kind in _DONE:
        return Status("pass", _DONE[kind])
    return _REQUEST[state]


def kind(value: str) -> str:
    """Return what sort of request it is."""
    return _KIND[value]


def mode(value: str) -> Status:
    """Return how a policy is bound: whether it blocks, warns, or only looks on."""
    return _MODE[value]


def check(state: str) -> Status:
    """Return the status of a check run."""
    return _CHECK[state]


def verdict(value: str) -> Status:
    """Return the status that a review's verdict reads as."""
    return _VERDICT[value]


def severity(value: str) -> Status:
    """Return the status of a finding."""
    return _SEVERITY[value]


def emergency(state: str) -> Status:
    """Return the status of an emergency move past the gate."""
    return _EMERGENCY[state]


def cause(value: str) -> str:
    """Return why something must be reviewed again."""
    return _CAUSE[value]


def target(kind: str, name: str) -> str:
    """Return where a version is to go: a stage by its name, an alias with its @."""
    return f"@{name}" if kind == "alias" else name


def metric(name: str) -> str:
    """Return a metric's title."""
    base = name.removesuffix(_AGAINST)
    title = _METRICS.get(base) or sentence(base)
    return title if base == name else f"{title}, less the champion\u2019s"


def column(name: str) -> str:
    """Return the head of a table's column: an abbreviation as the field writes it, a metric's title, or the name as words."""
    known = name.strip().lower().replace(" ", "_")
    return _COLUMNS.get(known) or metric(known)


def sentence(name: str) -> str:
    """Return a name written with underscores or dots as words."""
    text = name.replace("_", " ").replace(".", " ").replace("-", " ").strip()
    return text[:1].upper() + text[1:]


def limit_sign(limit_is: str) -> str:
    """Return the sign before a limit, or nothing if the policy does not say which side is allowed."""
    return _LIMIT_SIGN.get(limit_is, "")


def number(value: object, places: int = 3) -> str:
    """Return a measured value for people: whole numbers whole, others with fixed places and a true minus."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) >= 10):
        return f"{int(value):,}".replace("-", MINUS)
    if isinstance(value, float):
        return f"{value:,.{places}f}".replace("-", MINUS)
    return str(value)


def signed(value: float, places: int = 3) -> str:
    """Return a difference with its sign."""
    text = f"{abs(value):.{places}f}"
    if float(text) == 0:
        return text
    return f"{MINUS if value < 0 else '+'}{text}"


def judged_change(name: str, before: float | None, after: float | None) -> tuple[str, str]:
    """Return a difference and its judgement as a CSS class; metrics whose better side we do not know get no judgement."""
    if before is None or after is None:
        return ("added", "") if before is None and after is not None else ("removed", "") if after is None else ("none", "")
    change = after - before
    text = signed(change)
    if float(f"{change:.3f}") == 0:
        return "no change", ""
    name = name.removesuffix(_AGAINST)
    better = name in _HIGHER_IS_BETTER if change > 0 else name in _LOWER_IS_BETTER
    worse = name in _LOWER_IS_BETTER if change > 0 else name in _HIGHER_IS_BETTER
    word = "better" if better else "worse" if worse else ""
    return f"{text} {word}".strip(), word


def utc(at: datetime) -> datetime:
    """Return the same moment in UTC."""
    return at.astimezone(UTC)


def moment(at: datetime, *, seconds: bool = False) -> str:
    """Return ``17 Nov 2026, 09:12``."""
    at = utc(at)
    return f"{day(at)}, {at:%H:%M:%S}" if seconds else f"{day(at)}, {at:%H:%M}"


def day(at: datetime) -> str:
    """Return ``17 Nov 2026``."""
    at = utc(at)
    return f"{at.day} {at:%b %Y}"


def from_ms(value: int) -> datetime:
    """Return the moment of Unix milliseconds."""
    return datetime.fromtimestamp(value / 1000, UTC)


def duration(length: timedelta) -> str:
    """Return ``3 d 5 h``, ``5 h 20 min`` or ``4 min``: the two largest units."""
    minutes = max(0, int(length.total_seconds() // 60))
    days, rest = divmod(minutes, 1440)
    hours, mins = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (mins, "min")]
    shown = [f"{count} {unit}" for count, unit in parts if count][:2]
    return " ".join(shown) or "under a minute"


def due(expires_at: datetime | None, now: datetime) -> tuple[str, str]:
    """Return when something is due and how pressing that is, as a CSS class."""
    if expires_at is None:
        return "none", ""
    left = expires_at - now
    if left < timedelta(0):
        return f"{duration(-left)} late", "late"
    if left < timedelta(hours=24):
        return f"in {duration(left)}", "near"
    return day(expires_at), ""


def short(digest: str) -> str:
    """Return ``sha256:9f2c6e…41ab``."""
    scheme, colon, rest = digest.rpartition(":")
    return f"{scheme}{colon}{rest[:6]}\u2026{rest[-4:]}" if len(rest) > 14 else digest


def size(count: int) -> str:
    """Return bytes as ``412 B``, ``41.2 kB``, ``4.1 MB`` or ``1.2 GB``."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def initials(name: str) -> str:
    """Return up to two initials."""
    parts = name.replace(".", " ").replace("_", " ").split()
    return "".join(part[0] for part in (parts[:1] + parts[1:][-1:]))[:2].upper() or "?"


def count_of(many: int, one: str, more: str = "") -> str:
    """Return ``1 version`` or ``3 versions``."""
    return f"{many:,} {one if many == 1 else more or one + 's'}"


def listed(items: list[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"
