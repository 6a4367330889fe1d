"""Every state change goes through a command, and every command is built alike."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from types import FunctionType

import pytest
from django.conf import settings

from config.environment import BASE_DIR
from core import jobs
from governance.models import ResourceClass
from scripts.stack import commands

PACKAGES = ("core", "artifacts", "tracking", "registry", "webhooks", "governance", "workflows", "interfaces")
COMMAND_MODULES = sorted(
    ".".join(path.relative_to(BASE_DIR).with_suffix("").parts)
    for package in PACKAGES[:-1]
    for pattern in ("*commands.py", "commands/*.py")
    for path in (BASE_DIR / package).glob(pattern)
)
# Public functions beside the commands, each with what it is instead.
NOT_COMMANDS = {
    "core.commands.ensure_roles": "runs after a migration",
    "artifacts.commands.freeze": "a step of registering a version",
    "artifacts.commands.unfreeze": "a step of deleting a version",
    "artifacts.commands.note_content": "a step of storing a file or a part of one",
    "artifacts.commands.collect_unreferenced": "housekeeping: removes what nothing refers to",
    "tracking.commands.experiments.active_experiment_location": "reads",
    "tracking.commands.runs.open_run": "reads",
    "governance.commands.checks.start_check": "a worker's note on its own row, by compare-and-set",
    "governance.commands.checks.report_progress": "a worker's note on its own row, by compare-and-set",
}
# Commands without a transaction around all of it, each with the reason.
SEVERAL_TRANSACTIONS = {
    "workflows.commands.execution.execute_request": "begins and finishes, each in a transaction of its own",
    "registry.commands.create_model": "reads and makes ready before the transaction that writes",
    "registry.commands.register_version": "reads and makes ready before the transaction that writes",
    "registry.commands.set_version_tag": "one statement with its event, or a transaction of the two (sql.run_all)",
    "tracking.commands.run_data.log_batch": "one statement with its event, or a transaction of several",
    "webhooks.commands.try_out": "sends between two transactions, as a worker does",
    "artifacts.commands.put_file": "bytes arrive before the transaction that notes them",
    "tracking.commands.files.put_artifact": "as put_file",
    "tracking.import_commands.import_artifact": "as put_file",
    "tracking.commands.files.put_run_artifact": "as put_file",
    "tracking.commands.files.delete_artifacts": "one call of a command that has its own",
    "governance.commands.checks.queue_check": "a step of a request's transaction, which jobs.enqueue and audit.record insist on",
}


def _trees() -> dict[Path, ast.Module]:
    files = [path for package in PACKAGES for path in (BASE_DIR / package).rglob("*.py") if "migrations" not in path.parts]
    return {path.relative_to(BASE_DIR): ast.parse(path.read_text()) for path in files}


_CHANGES = re.compile(r"audit\.record\(|\.(create|bulk_create|get_or_create|update_or_create|update|delete|save)\(")


def _is_command(function: FunctionType) -> bool:
    """Return whether a function changes something or acts for somebody; what does neither reads or computes."""
    return "actor" in inspect.signature(function).parameters or bool(_CHANGES.search(inspect.getsource(function)))


def _public(module_name: str) -> list[FunctionType]:
    module = importlib.import_module(module_name)
    return [
        function
        for name, function in vars(module).items()
        if inspect.isfunction(inspect.unwrap(function))
        and function.__module__ == module_name
        and not name.startswith("_")
        and f"{module_name}.{name}" not in NOT_COMMANDS
        and _is_command(function)
    ]


def test_there_are_commands_to_look_at() -> None:
    assert {"core.commands", "governance.commands.policies"} <= set(COMMAND_MODULES)
    assert len(_public("core.commands")) >= 3


def test_every_exception_is_still_there() -> None:
    gone = [
        name
        for name in {**NOT_COMMANDS, **SEVERAL_TRANSACTIONS}
        if not hasattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2])
    ]
    assert gone == []


@pytest.mark.parametrize("module_name", COMMAND_MODULES)
def test_a_command_takes_keywords_only_with_an_actor(module_name: str) -> None:
    wrong = []
    for function in _public(module_name):
        parameters = inspect.signature(function).parameters
        if "actor" not in parameters or any(p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters.values()):
            wrong.append(f"{module_name}.{function.__name__}{inspect.signature(function)}")
    assert wrong == []


@pytest.mark.parametrize("module_name", COMMAND_MODULES)
def test_a_command_is_one_transaction(module_name: str) -> None:
    # transaction.atomic as a decorator leaves __wrapped__.
    wrong = [
        f"{module_name}.{function.__name__}"
        for function in _public(module_name)
        if not hasattr(function, "__wrapped__") and f"{module_name}.{function.__name__}" not in SEVERAL_TRANSACTIONS
    ]
    assert wrong == []


def test_audit_events_are_written_in_one_place() -> None:
    """Constructing, creating or changing AuditEvent rows anywhere but in core/audit.py, by hand-written statements too."""
    writers = set()
    for path, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant | ast.JoinedStr):
                statement = ast.unparse(node).lower()
                if "auditevent" in statement and re.search(r"insert into|update .*set|delete from", statement):
                    writers.add(str(path))
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            made = called.split(".")[-1] == "AuditEvent"
            changed = "AuditEvent.objects" in called and called.split(".")[-1] in {
                "create", "bulk_create", "get_or_create", "update_or_create", "update", "bulk_update", "delete",
            }  # fmt: skip
            if made or changed:
                writers.add(str(path))
    assert writers == {"core/audit.py"}


def _constants(tree: ast.Module) -> dict[str, str]:
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_every_job_that_is_enqueued_has_a_handler() -> None:
    importlib.import_module("workflows.tasks")
    trees = _trees()
    constants: dict[str, set[str]] = {}
    for tree in trees.values():
        for name, value in _constants(tree).items():
            constants.setdefault(name, set()).add(value)
    enqueued = set()
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "jobs.enqueue":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    enqueued.add(first.value)
                elif isinstance(first, ast.Name | ast.Attribute):
                    name = first.id if isinstance(first, ast.Name) else first.attr
                    enqueued |= constants.get(name, set())
                else:
                    pytest.fail(f"{path}:{node.lineno}: name the job by a constant")
    assert enqueued, "nothing is enqueued?"
    assert enqueued <= jobs.handler_names()


def test_every_queue_has_workers_and_every_job_that_has_its_own_exists() -> None:
    importlib.import_module("workflows.tasks")
    served = {
        queue
        for command in commands().values()
        for word in command
        if word.startswith("--queues=")
        for queue in word.removeprefix("--queues=").split(",")
    }
    of_checks = {name for needs, name in settings.CHECK_QUEUES.items() if needs != "gpu"}  # whoever has one starts its worker
    assert served == {settings.CELERY_TASK_DEFAULT_QUEUE, *settings.JOB_QUEUES.values(), *of_checks}
    assert set(settings.CHECK_QUEUES) == set(ResourceClass)
    assert set(settings.JOB_QUEUES) <= jobs.handler_names()


def test_everything_beat_sends_is_a_task_that_workers_know() -> None:
    importlib.import_module("workflows.tasks")
    from config.celery import app

    sent = {entry["task"] for entry in app.conf.beat_schedule.values()} | {jobs.RUN_TASK, jobs.RUN_NEXT_TASK}
    assert sent <= set(app.tasks)
    # A message nobody took in time must not pile up behind a worker that is away.
    assert all(entry["options"]["expires"] for entry in app.conf.beat_schedule.values())
