"""What the files of a model version would do when they are loaded, without loading them."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import yaml

from governance.checks.base import SEVERITIES, Finding, Measurement, Result, Severity, Table
from governance.checks.subject import Subject

if TYPE_CHECKING:
    from governance.checks.scanning.blobs import Inspector

_MOST_FINDINGS = 500
_COUNTED: tuple[Severity, ...] = ("medium", "high", "critical")


@dataclass(frozen=True)
class ArtifactScan:
    """Look into every file of a model version and never load one.

    Pickles are followed operation by operation, and by picklescan as a second reader; what they import is judged by a list
    of what is known. Compressed streams and archives are unpacked within limits. A file that cannot be read, is broken or
    of unknown format is a finding, never clean. `scan.files` and `scan.findings` are counts; the slice of the latter is a
    severity, "" the total of medium and worse. The table `scanned_files` lists every file.
    Raises MissingInput without a model and nothing else: what cannot be read is a finding.
    """

    name: ClassVar[str] = "artifact-scan"
    revision: ClassVar[str] = "2"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = False
    asks_model: ClassVar[bool] = False

    largest_file_mib: int = field(
        default=512, metadata={"minimum": 1, "maximum": 8192, "description": "Larger files, packed or not, are a finding."}
    )
    most_files: int = field(default=5000, metadata={"minimum": 1, "maximum": 100_000, "description": "More files are a finding."})

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
        named, own = _said_by_mlmodel(root)
        inspector = Inspector(limits, named, own)
        findings: list[Finding] = []
        rows: list[tuple[str | int, ...]] = []
        if not (root / "MLmodel").is_file():
            findings.append(
                Finding("no-mlmodel", "medium", "MLmodel", "There is no MLmodel file, so this is not an MLflow model.")
            )
        paths = sorted(_files(root))
        if len(paths) > self.most_files:
            findings.append(
                Finding("too-many-files", "high", "", f"{len(paths)} files, of which {self.most_files} were looked into.")
            )
        for index, path in enumerate(paths[: self.most_files]):
            location = path.relative_to(root).as_posix()
            subject.progress(index / len(paths), f"Looking into {location}")
            kind, size, found = _file(inspector, path, location, limits.largest_bytes)
            worst = max((each.severity for each in found), key=SEVERITIES.index, default="")
            rows.append((location, kind, size, len(found), worst))
            findings += found
        return findings, rows


def _files(root: Path) -> Iterator[Path]:
    """Yield everything that is not a folder; links to folders are not followed."""
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        yield from (Path(folder) / name for name in [*files, *links])


def _file(inspector: Inspector, path: Path, location: str, largest: int) -> tuple[str, int, list[Finding]]:
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return "link", 0, [Finding("link", "high", location, f"A link to {str(path.readlink())!r}, which was not followed.")]
        if not stat.S_ISREG(status.st_mode):
            return "special file", 0, [Finding("special-file", "high", location, "It is neither a file nor a folder.")]
        if status.st_size > largest:
            return "too large", status.st_size, [Finding("too-large", "high", location, f"It is larger than {largest} bytes.")]
        data = path.read_bytes()
    except OSError as cause:
        return "unreadable", 0, [Finding("unreadable", "high", location, f"It cannot be read: {cause.strerror}.")]
    seen = inspector.inspect(path.name, data, location)
    return seen.kind, status.st_size, seen.findings


def _said_by_mlmodel(root: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Return the files that MLmodel names, and the top-level modules in the folders of code that it names."""
    from governance.checks.scanning.configuration import code_folders, named_files

    try:
        parsed = yaml.safe_load((root / "MLmodel").read_text(encoding="utf-8"))
        own = {each.stem for folder in code_folders(parsed) if (root / folder).is_dir() for each in (root / folder).iterdir()}
        return frozenset(named_files(parsed)), frozenset(own)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return frozenset(), frozenset()  # the scan of MLmodel itself says what is wrong with it
