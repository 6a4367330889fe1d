"""What the files of a model version would do when they are loaded, without loading them."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from governance.checks.base import SEVERITIES, Finding, Measurement, Result, Severity, Table
from governance.checks.scanning.model_formats import ModelFormat
from governance.checks.subject import Subject

if TYPE_CHECKING:
    from governance.checks.scanning.blobs import Inspector, Seen

_MOST_FINDINGS = 500
_COUNTED: tuple[Severity, ...] = ("medium", "high", "critical")
_LONGEST_MLMODEL = 8 << 20


@dataclass(frozen=True)
class ArtifactScan:
    """Look into every file of a model version and never load one.

    Pickles are followed operation by operation, and by picklescan as a second reader; what they import is judged by a list
    of what is known. Compressed streams and archives are unpacked within limits. A file that cannot be read, is broken or
    of unknown format is a finding, never clean. `scan.files` and `scan.findings` are counts; the slice of the latter is a
    severity, "" the total of medium and worse. The table `scanned_files` lists every file. A finding's location is a file, so that
    it is the same finding in the next version; at which byte or line is in its message.
    Raises MissingInput without a model and nothing else: what cannot be read is a finding.
    """

    name: ClassVar[str] = "artifact-scan"
    revision: ClassVar[str] = "3"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = False
    asks_model: ClassVar[bool] = False

    largest_file_mib: int = field(
        default=512, metadata={"minimum": 1, "maximum": 8192, "description": "Larger files, packed or not, are a finding."}
    )
    most_files: int = field(default=5000, metadata={"minimum": 1, "maximum": 100_000, "description": "More files are a finding."})
    allowed_formats: tuple[ModelFormat, ...] = field(
        default=(),
        metadata={"description": "A model in any other format is a finding; without any, all that are known are allowed."},
    )
    format_severity: Severity = field(default="high", metadata={"description": "How grave a format that is not allowed is."})

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the findings, the worst first, then the counts and the table of files."""
        findings, rows = self._scan(subject)
        counts = Counter(each.severity for each in findings)
        yield from sorted(findings, key=lambda each: (-SEVERITIES.index(each.severity), each.location, each.rule))[
            :_MOST_FINDINGS
        ]
        yield Measurement("scan.files", float(len(rows)), method="count")
        yield Measurement("scan.findings", float(sum(counts[each] for each in _COUNTED)), method="count of medium and worse")
        for severity in SEVERITIES:
            yield Measurement("scan.findings", float(counts[severity]), severity, method="count")
        yield Table("scanned_files", "Files looked into", ("path", "kind", "bytes", "findings", "worst"), tuple(rows))

    def _scan(self, subject: Subject) -> tuple[list[Finding], list[tuple[str | int, ...]]]:
        from governance.checks.scanning.blobs import Inspector  # the catalogue is read without the scanners
        from governance.checks.scanning.limits import Limits

        root = subject.model_dir
        limits = Limits(largest_bytes=self.largest_file_mib << 20)
        inspector = Inspector(limits, *_said_by_mlmodel(root))
        findings: list[Finding] = []
        if not (root / "MLmodel").is_file():
            findings.append(
                Finding("no-mlmodel", "medium", "MLmodel", "There is no MLmodel file, so this is not an MLflow model.")
            )
        paths = sorted(_files(root))
        if len(paths) > self.most_files:
            findings.append(
                Finding("too-many-files", "high", "", f"{len(paths)} files, of which {self.most_files} were looked into.")
            )
        looked: dict[str, tuple[Seen, int]] = {}
        for index, path in enumerate(paths[: self.most_files]):
            location = path.relative_to(root).as_posix()
            subject.progress(index / len(paths), _printable(f"Looking into {location}"))
            seen, size = _file(inspector, path, location, limits.largest_bytes)
            seen.add("", *_odd_name(location), *self._refused(seen, location))
            looked[location] = seen, size
        findings += _numbers_beside(looked)
        rows: list[tuple[str | int, ...]] = []
        for location, (seen, size) in looked.items():
            worst = max((each.severity for each in seen.findings), key=SEVERITIES.index, default="")
            rows.append((_printable(location), seen.kind, size, len(seen.findings), worst))
            findings += seen.findings
        return [_presentable(each) for each in findings], rows

    def _refused(self, seen: Seen, location: str) -> Iterator[Finding]:
        for each in sorted(seen.formats - set(self.allowed_formats)) if self.allowed_formats else ():
            message = f"The format {each} is not among those allowed: {', '.join(self.allowed_formats)}."
            yield Finding("format-not-allowed", self.format_severity, location, message)


def _files(root: Path) -> Iterator[Path]:
    """Yield everything that is not a folder; links to folders are not followed."""
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        yield from (Path(folder) / name for name in [*files, *links])


def _file(inspector: Inspector, path: Path, location: str, largest: int) -> tuple[Seen, int]:
    from governance.checks.scanning.blobs import Seen

    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            message = f"A link to {str(path.readlink())!r}, which was not followed."
            return Seen().add("link", Finding("link", "high", location, message)), 0
        if not stat.S_ISREG(status.st_mode):
            return Seen().add("special file", Finding("special-file", "high", location, "It is neither a file nor a folder.")), 0
        if status.st_size > largest:
            message = f"It is larger than {largest} bytes."
            return Seen().add("too large", Finding("too-large", "high", location, message)), status.st_size
        data = path.read_bytes()
    except OSError as cause:
        return Seen().add("unreadable", Finding("unreadable", "high", location, f"It cannot be read: {cause.strerror}.")), 0
    return inspector.inspect(path.name, data, location), status.st_size


def _odd_name(location: str) -> Iterator[Finding]:
    if not location.isprintable():
        message = "Its name holds characters that cannot be seen, so that it reads as another."
        yield Finding("odd-name", "medium", location, message)


def _numbers_beside(looked: dict[str, tuple[Seen, int]]) -> list[Finding]:
    """Take back that a file has no known format when a model beside it says that its numbers lie there; return what is missing."""
    missing = []
    for location, (seen, _) in looked.items():
        for name in seen.numbers:
            place = (PurePosixPath(location).parent / name).as_posix()
            if place not in looked:
                message = f"Its numbers lie in {name[:200]!r}, which is not there."
                missing.append(Finding("external-data", "medium", location, message))
                continue
            beside = looked[place][0]
            beside.findings = [each for each in beside.findings if each.rule != "unknown-format"]
    return missing


def _presentable(finding: Finding) -> Finding:
    return replace(finding, location=_printable(finding.location), message=_printable(finding.message))


def _printable(text: str) -> str:
    """Return the text with what cannot be seen, stored or sent written as an escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _said_by_mlmodel(root: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Return the files that MLmodel names, and the top-level modules in the folders of code that it names."""
    from governance.checks.scanning.documents import load_yaml, yaml_findings
    from governance.checks.scanning.limits import Unreadable
    from governance.checks.scanning.mlmodel import code_folders, named_files

    nothing: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    try:
        path = root / "MLmodel"
        if path.is_symlink() or path.stat().st_size > _LONGEST_MLMODEL:
            return nothing
        text = path.read_text(encoding="utf-8")
        if any(each.rule == "bomb" for each in yaml_findings(text, "MLmodel")):
            return nothing  # what unfolds without end must not be built
        parsed = load_yaml(text)
        folders = [root / each for each in code_folders(parsed)]
        own = {each.stem for folder in folders if folder.is_dir() and not folder.is_symlink() for each in folder.iterdir()}
        return frozenset(named_files(parsed)), frozenset(own)
    except (OSError, ValueError, RecursionError, Unreadable):
        return nothing  # the scan of MLmodel itself says what is wrong with it
