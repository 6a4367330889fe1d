"""All hostile artifacts, to be written into a folder: `python -m tests.hostile.generator FOLDER`.

Nothing of it does harm: a payload makes one folder, whose path it is given, or asks for more than it may have.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.hostile import archives, behaviour, configuration, frameworks, pickles
from tests.hostile.cases import Hostile

FILES: tuple[Hostile, ...] = (*pickles.CLASSES, *archives.CLASSES, *configuration.CLASSES, *frameworks.CLASSES)


def write_all(folder: Path, marker: str) -> None:
    """Write each class into a folder of its own, below one for its family."""
    for each in FILES:
        each.into(folder / each.family / each.name, marker)
    for name, model in behaviour.CLASSES.items():
        model.into(folder / "behaviour" / name, marker)


if __name__ == "__main__":
    destination = Path(sys.argv[1])
    write_all(destination, str(destination / "marker"))
    print(f"{len(FILES) + len(behaviour.CLASSES)} classes in {destination}")
