"""What was measured, as a table to read at once and as the table of docs/benchmarks.md."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import Measured
from benchmarks.once import Once
from benchmarks.servers import DEFAULT, FASTEST, OURS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
_SHORT = {DEFAULT: "default", FASTEST: "fastest"}


@dataclass
class Results:
    """All rounds: by operation, then by server, in the order they were run."""

    rounds: dict[str, dict[str, list[Measured]]] = field(default_factory=dict)
    processor_ms: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    once: dict[str, Once] = field(default_factory=dict)

    def add(self, operation: str, server: str, measured: Measured, processor_seconds: float) -> None:
        """Keep a round."""
        self.rounds.setdefault(operation, {}).setdefault(server, []).append(measured)
        each = processor_seconds * 1000 / max(1, measured.answers)
        self.processor_ms.setdefault(operation, {}).setdefault(server, []).append(each)

    def errors(self) -> int:
        """Return how many requests failed."""
        return sum(m.errors for servers in self.rounds.values() for found in servers.values() for m in found)

    def middle(self, operation: str, server: str, what: str) -> float:
        """Return the median over the rounds of a field of Measured, or of ``processor_ms``."""
        if what == "processor_ms":
            return median(self.processor_ms[operation][server])
        return median(getattr(measured, what) for measured in self.rounds[operation][server])

    def ratio(self, operation: str, server: str, what: str = "per_second") -> float:
        """Return how many times better ours is than a server: more answers, or less time."""
        ours, theirs = (self.middle(operation, name, what) for name in (OURS, server))
        better, worse = (ours, theirs) if what == "per_second" else (theirs, ours)
        return better / worse if worse else float("inf")

    def as_json(self) -> dict[str, Any]:
        """Return everything, for a file."""
        return {
            operation: {
                name: {
                    "rounds": [asdict(measured) for measured in found],
                    "processor_ms": self.processor_ms[operation][name],
                    **({} if name == OURS else {"times_ours": self.ratio(operation, name)}),
                }
                for name, found in servers.items()
            }
            for operation, servers in self.rounds.items()
        } | ({"once": {name: asdict(found) for name, found in self.once.items()}} if self.once else {})


def heading() -> str:
    """Return the head of the table."""
    return f"{'operation':24}{'server':16}{'answers/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'errors':>8}{'ratio':>9}"


def lines(results: Results, operation: str) -> list[str]:
    """Return the lines of one operation; a ratio says how many times more ours answered."""
    out = []
    for name in results.rounds[operation]:
        per_second, p50, p99, cpu = (
            results.middle(operation, name, what) for what in ("per_second", "p50_ms", "p99_ms", "processor_ms")
        )
        errors = sum(measured.errors for measured in results.rounds[operation][name])
        ratio = "" if name == OURS else _times(results.ratio(operation, name))
        label = operation if name == OURS else ""
        out.append(f"{label:24}{name:16}{per_second:11.1f}{p50:9.2f}{p99:9.2f}{cpu:9.2f}{errors:8d}{ratio:>9}")
    return out


def once_lines(results: Results) -> list[str]:
    """Return what was measured once, a server a line."""
    out = [f"{'server':16}{'start s':>9}{'memory MB':>11}{'upload MB/s':>13}{'download MB/s':>15}{'grew MB':>9}"]
    for name, found in results.once.items():
        out.append(
            f"{name:16}{found.start_seconds:9.1f}{found.memory_mb:11.0f}{found.upload_mb_s:13.0f}"
            f"{found.download_mb_s:15.0f}{found.growth_mb:9.0f}"
        )
    return out


def write_page(results: Results, engine: str) -> None:
    """Put the tables of an engine into docs/benchmarks.md. Raises ValueError where the page has no place for them."""
    text = PAGE.read_text()
    tables = [(engine, markdown(results)), *([(f"{engine}, once", once_markdown(results))] if results.once else [])]
    for name, table in tables:
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"{PAGE} has no place for {name}")
        text = place.sub(lambda found, table=table: f"{found[1]}{table}{found[2]}", text)  # type: ignore[misc]
    PAGE.write_text(text)


def markdown(results: Results) -> str:
    """Return ratios only: a time belongs to one machine, a ratio travels."""
    against = [name for name in (DEFAULT, FASTEST) if all(name in servers for servers in results.rounds.values())]
    heads = (("answers per second", "per_second"), ("p99", "p99_ms"), ("server CPU", "processor_ms"))
    columns = [(f"{title}, {_SHORT[name]}", name, what) for title, what in heads for name in against]
    rows = ["| operation | " + " | ".join(title for title, _, _ in columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for operation in results.rounds:
        cells = (_times(results.ratio(operation, name, what)) for _, name, what in columns)
        rows.append(f"| `{operation}` | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def once_markdown(results: Results) -> str:
    """Return the ratios of what was measured once."""
    ours = results.once[OURS]
    against = [name for name in (DEFAULT, FASTEST) if name in results.once]
    rows = [
        "| measured once | " + " | ".join(_SHORT[name] for name in against) + " |",
        "| --- |" + " ---: |" * len(against),
    ]
    for title, what, more_is_better in (
        ("start to the first answer", "start_seconds", False),
        ("memory at rest", "memory_mb", False),
        ("upload of 256 MB", "upload_mb_s", True),
        ("download of 256 MB", "download_mb_s", True),
    ):
        pairs = ((getattr(ours, what), getattr(results.once[name], what)) for name in against)
        cells = (_times(mine / theirs if more_is_better else theirs / mine) for mine, theirs in pairs)
        rows.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _times(ratio: float) -> str:
    if not isfinite(ratio) or ratio == 0:
        return "no answer"  # not one within a round
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x"
