"""Ready-made policies: each folder holds a policy, the binding that puts it in force and a README that says what it rests on."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
_ORDER = ("policy.yaml", "parameters.yaml", "binding.yaml")  # as they have to be published


def names() -> list[str]:
    """Return the names of the packs, sorted."""
    return sorted(path.parent.name for path in _HERE.glob("*/policy.yaml"))


def documents(name: str) -> list[str]:
    """Return a pack's documents in the order to publish them: policy, parameters if it has any, binding. Raises KeyError."""
    return [path.read_text(encoding="utf-8") for path in (_folder(name) / file for file in _ORDER) if path.exists()]


def readme(name: str) -> str:
    """Return what a pack says about itself, in Markdown. Raises KeyError."""
    return (_folder(name) / "README.md").read_text(encoding="utf-8")


def _folder(name: str) -> Path:
    if name not in names():
        raise KeyError(f"there is no pack {name}; there are {', '.join(names())}")
    return _HERE / name
