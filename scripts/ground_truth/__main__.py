"""Write docs/ground-truth.md: what the checks measure, beside reference implementations.

`python -m scripts.ground_truth [--data FOLDER]`. FOLDER holds adult.csv.gz, bank_marketing.csv.gz and diabetes_readmission.csv.gz; without
it the page is about the data that is here, and is printed instead of written.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

from scripts.ground_truth import page
from scripts.ground_truth.everything import measure


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if all numbers agree, 1 otherwise, and then the page is not written."""
    parser = argparse.ArgumentParser(prog="python -m scripts.ground_truth", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the larger data sets are")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="countersign-ground-truth-") as folder:
        chapters = measure(Path(folder), given.data, slow=True)
    broken = [(chapter.check, each) for chapter in chapters for each in chapter.rows if not each.holds]
    for check, each in broken:
        pair = each.farthest
        print(f"{check}: {each.metric} on {each.data}: {pair.ours} and {pair.reference} differ", file=sys.stderr)
    if broken:
        return 1
    text = page.text(chapters, given.data)
    if given.data is None:
        print(text)
    else:
        page.PAGE.write_text(text)
        print(f"wrote {page.PAGE.relative_to(page.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
