"""Parse every YAML file of the repository: status 1 with file, line and column for each that does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Print what does not parse; return how many, at most 1."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.yml", "*.yaml"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else [str(path) for path in ROOT.glob("*.y*ml")]
    wrong = 0
    for name in filter(None, names):
        try:
            list(yaml.safe_load_all((ROOT / name).read_text()))
        except yaml.YAMLError as error:
            print(f"{name}: {error}", file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
