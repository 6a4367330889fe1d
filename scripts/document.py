"""Write what the documentation says of tables in the code, so that it cannot say anything else than the code.

``python -m scripts.document`` writes the settings and the states of a request; a test compares them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from config.environment import VARIABLES
from workflows.states import diagram

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ROOT / "docs" / "settings.md"
REQUESTS = ROOT / "docs" / "requests.md"
_STATES = ("<!-- states -->\n", "<!-- /states -->\n")

_HEAD = """\
# Settings

Everything an operator can set comes from the environment. Each process reads it once when it starts and refuses to start on a
wrong value, naming every wrong variable and what was expected. An empty value is the default. Nothing needs to be set on a laptop.
`manage.py doctor` examines what the settings point to.

This page is written from `config/environment.py` by `make docs`.

| variable | kind | default | meaning |
| --- | --- | --- | --- |
"""

_FOOT = """
Read by `make run` and `scripts/stack.py`, not by the processes themselves: `PORT` (8000) and `HOST` (127.0.0.1) to listen on.
With an artifact root in S3, credentials and region come from where boto3 looks for them: `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, a profile, or the machine's role.
"""


def settings_page() -> str:
    """Return the text of docs/settings.md."""
    rows = (
        f"| `{variable.name}` | {variable.kind} | {f'`{variable.default}`' if variable.default else ''} | {variable.meaning} |\n"
        for variable in VARIABLES
    )
    return _HEAD + "".join(rows) + _FOOT


def requests_page(text: str) -> str:
    """Return the text of docs/requests.md with the picture of the states as the code has them."""
    before, _, rest = text.partition(_STATES[0])
    _, _, after = rest.partition(_STATES[1])
    return f"{before}{_STATES[0]}\n```mermaid\n{diagram()}\n```\n\n{_STATES[1]}{after}"


if __name__ == "__main__":
    SETTINGS.write_text(settings_page())
    REQUESTS.write_text(requests_page(REQUESTS.read_text()))
    print(f"wrote {SETTINGS.relative_to(ROOT)} and {REQUESTS.relative_to(ROOT)}")
    sys.exit(0)
