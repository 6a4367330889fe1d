"""docs/api.md does what it says: its examples run in order, in one database.

In a block ``console``, a line with ``$ `` is a curl command; the next line is the status of its answer and, after a space, JSON
that the answer must contain (objects by their members, arrays by their first elements; ``[]`` means empty).
"""

from __future__ import annotations

import io
import json
import re
import shlex
from typing import Any

import pytest
from django.test import Client

from config.environment import BASE_DIR
from core import commands as core_commands
from core.access import grant
from registry.models import ModelVersion
from tests.cast import ROOT, actor, bearer
from tests.interfaces.rest.conftest import check_problem
from tests.workflows.conftest import World
from tracking.commands.files import put_run_artifact
from tracking.commands.runs import create_run
from workflows.models import PromotionRequest

PAGE = BASE_DIR / "docs" / "api.md"
WORKER = "<!-- the worker finishes the checks -->"
POLICY = """\
kind: Policy
name: retail
parameters:
  least: {type: number}
checks:
  - {check: performance, dataset: held-out}
requirements:
  - {id: roc-auc, title: ROC AUC, how_to_satisfy: Improve it., satisfied_if: 'measurements["roc_auc"].value >= params.least'}
steps:
  - {name: review, factors: [{group: reviewer, count: 1}]}
"""
FILES = {
    "held-out.csv": "age,good\n30,1\n40,0\n50,1\n60,1\n",
    "younger.csv": "age,good\n30,1\n12,0\n",
    "contract.yaml": "kind: DataContract\ncolumns:\n- {name: age, type: integer, min: 18}\n",
    "policy.yaml": POLICY,
    "parameters.yaml": "kind: Parameters\nname: retail\npolicy: retail\nvalues: {least: 0.7}\n",
    "binding.yaml": (
        "kind: Binding\nname: retail\npolicy: retail\ntargets: {stages: [Production], aliases: [champion]}\nparameters: retail\n"
    ),
    "draft.json": json.dumps({"document": POLICY, "parameters": {"least": 0.9}}),
}


def _examples(text: str) -> list[tuple[str, str]]:
    """Return commands with the lines below them, and the worker's turns, in the page's order."""
    found = []
    for block in re.findall(rf"```console\n(.*?)```|({re.escape(WORKER)})", text, re.DOTALL):
        if block[1]:
            found.append((WORKER, ""))
            continue
        lines = block[0].splitlines()
        assert len(lines) % 2 == 0, f"each command has one line below it: {lines}"
        found += [(lines[i].removeprefix("$ "), lines[i + 1]) for i in range(0, len(lines), 2)]
    return found


def _run(client: Client, command: str, variables: dict[str, str]) -> Any:
    # As a shell: the variables first, since they stand in the middle of words.
    words = iter(shlex.split(re.sub(r"\$([A-Z]+)", lambda m: variables[m[1]], command)))
    assert next(words) == "curl"
    method, address, headers, data = "", "", {}, b""
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word in ("-d", "--data-binary"):
            given = next(words)
            data = (FILES[given[1:]] if given.startswith("@") else given).encode()
        else:
            assert not address and word.startswith("/"), word
            address = word
    content_type = headers.pop("Content-Type", "application/octet-stream")
    return client.generic(method or ("POST" if data else "GET"), address, data, content_type=content_type, headers=headers)


def _contains(real: Any, said: Any) -> bool:
    if isinstance(said, dict):
        return isinstance(real, dict) and all(key in real and _contains(real[key], said[key]) for key in said)
    if isinstance(said, list) and said:
        return isinstance(real, list) and len(real) >= len(said) and all(map(_contains, real, said))
    return bool(real == said)


@pytest.mark.django_db
def test_the_examples_do_what_the_page_says(dana, ravi, aude, pat) -> None:
    run = create_run(actor=actor(dana), experiment_id=0).run_id
    put_run_artifact(actor=actor(dana), run_id=run, path="model/MLmodel", stream=io.BytesIO(b"flavors: {}"), expected_bytes=11)
    bot = core_commands.ensure_user(actor=ROOT, username="load-bot", roles=["pipeline"], service_of="pat")
    people = {"DANA": dana, "RAVI": ravi, "AUDE": aude, "PAT": pat, "LOADBOT": bot}
    tokens = {name: bearer(user)["HTTP_AUTHORIZATION"].removeprefix("Bearer ") for name, user in people.items()}
    variables = {**tokens, "API": "/api/v1", "RUN": run}
    examples = _examples(PAGE.read_text())
    assert len(examples) > 35
    first: int | None = None
    for command, below in examples:
        if command == WORKER:
            World(dana, pat).finish(PromotionRequest.objects.get())
            continue
        status, _, said = below.partition(" ")
        # The page's first request has the number 1; sequences of a test's database may stand elsewhere.
        if first is not None:
            command = command.replace("promotion-requests/1/", f"promotion-requests/{first}/")
        if "$CONTENT" in command:
            version = ModelVersion.objects.get(model__name="retail.churn")
            variables["CONTENT"] = version.content_digest
            grant(version.model, "model_read", users=[bot.pk])
        answer = _run(Client(), command, variables)
        assert answer.status_code == int(status), (command, answer.content)
        if answer.status_code >= 400:
            check_problem(answer)
        expected = json.loads(said) if said else None
        if isinstance(expected, dict) and "id" in expected:
            first = answer.json()["id"]
            expected.pop("id")
        if expected is not None:
            assert _contains(answer.json(), expected), (command, answer.content)


def test_every_kind_of_resource_is_on_the_page() -> None:
    from interfaces.rest import urls

    text = PAGE.read_text()
    first_steps = {str(p.pattern).split("/")[0] for p in urls.urlpatterns if p.name != "no-such-address"}
    assert [step for step in sorted(first_steps) if f"/{step}" not in text and f"`{step}/" not in text] == []
