"""What a hostile artifact is: how it is written, what it tries, and how it is to be caught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

MLMODEL = "flavors:\n  sklearn:\n    pickled_model: model.pkl\n"


@dataclass(frozen=True)
class Hostile:
    """A class of hostile artifacts, of which `write(folder, marker)` makes one from code.

    tries: what it would do. rule: of the finding that catches it, of at least medium severity, at `file`. at_byte: the
    finding says at which byte. runs: a plain pickle.load of `file` makes the folder `marker` and does nothing else.
    parameters: of the scan, where its usual limits would need too large a file.
    """

    name: str
    family: str
    tries: str
    rule: str
    file: str
    write: Callable[[Path, str], None]
    at_byte: bool = False
    runs: bool = False
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def into(self, folder: Path, marker: str) -> Path:
        """Write it into a folder of its own, beside a plain MLmodel; returns the folder."""
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text(MLMODEL)
        self.write(folder, marker)
        return folder


def a_file(name: str, content: bytes | str) -> Callable[[Path, str], None]:
    """Return what writes one file that needs no marker."""

    def write(folder: Path, _: str) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write
