"""Run within an instance's environment: make accounts and print a token of each as JSON."""

from __future__ import annotations

import json
import sys

import django

django.setup()

from core import commands  # noqa: E402
from tests.cast import ROOT, person  # noqa: E402

if __name__ == "__main__":
    people = json.loads(sys.argv[1])
    for name, role in people.items():
        person(name, *filter(None, [role]))
    print(json.dumps({name: commands.issue_token(actor=ROOT, username=name, name="test", days=1).secret for name in people}))
