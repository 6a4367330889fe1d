"""`make demo`: start an instance, carry one real model through the whole main job on it, and keep serving.

Without a terminal on standard input, or with DEMO_EXIT=1, everything is stopped again and the exit status says whether
every step held.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import requests

from demo.cast import PEOPLE, create_accounts
from demo.home import begin_anew
from demo.main_job import MainJob
from demo.steps import StepFailed, say
from scripts.stack import ROOT, Stack, StackError, free_port, require_free


def main() -> int:
    keep_serving = sys.stdin is not None and sys.stdin.isatty() and not os.environ.get("DEMO_EXIT")
    home = Path(os.environ.get("COUNTERSIGN_HOME") or ROOT / "var").resolve()
    port = int(os.environ.get("PORT") or 0) or free_port()
    embedded = {"DATABASE_URL": "", "CELERY_BROKER_URL": "", "ARTIFACT_ROOT": "", "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    started = time.monotonic()
    try:
        require_free(home)
        if kept := begin_anew(home):
            say(f"An instance was here; it is kept in {kept}")
        say(f"Starting Countersign on http://127.0.0.1:{port} with web, worker, checks and beat; logs in {home / 'logs'}")
        with Stack(port=port, home=home, environment=embedded) as stack:
            people = create_accounts(stack)
            MainJob(stack, people).run()
            say(f"\nEvery step held, in {time.monotonic() - started:.0f} s.")
            if keep_serving:
                _invite(stack)
                while True:
                    stack.require_alive()
                    time.sleep(0.5)
    except (StepFailed, StackError, requests.RequestException) as error:
        say(f"\nThe demo stopped: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nStopped.")
    return 0


def _invite(stack: Stack) -> None:
    say("\nPages to open:")
    for title, path in (
        ("The request that was approved", "/requests/1/"),
        ("The request that the gate blocked", "/requests/2/"),
        ("One with a waiver and a stale review", "/requests/3/"),
        ("The emergency", "/emergencies/1/"),
        ("The model", "/models/credit.german-risk/"),
        ("Audit log", "/audit/"),
        ("API", "/api/v1/docs/"),
    ):
        say(f"  {title:36} {stack.url}{path}")
    say("\nSign in as:")
    for person in PEOPLE:
        say(f"  {person.username:8} {person.password:28} {person.full_name}, {person.role}")
    say("\nCtrl-C stops everything.")


if __name__ == "__main__":
    sys.exit(main())
