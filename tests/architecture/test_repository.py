"""What no file of the repository may say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from config.environment import BASE_DIR
from scripts.stack import LONG_RUNNING, commands


def _files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := BASE_DIR / name).is_file()]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


# Written in pieces, or this file would name them.
REGISTRIES = "|".join(
    re.escape(half + rest)
    for half, rest in [
        ("py", "pi.org"), ("python", "hosted.org"), ("npm", "js.org"), ("npm", "js.com"), ("js", "delivr"), ("unp", "kg.com"), ("cdn", "js"),
    ]
)  # fmt: skip
MACHINE = r"(?<![\w.$}])/(?:root|home/(?!countersign)\w+|work|Users/\w+)/\w"


@pytest.mark.skipif(not (BASE_DIR / ".git").exists(), reason="needs git's list of files")
@pytest.mark.parametrize(
    ("forbidden", "why"),
    ids=["package registries and CDNs", "paths of a machine"],
    argvalues=[
        (REGISTRIES, "where packages come from is the machine's own configuration, and pages load nothing from elsewhere"),
        (MACHINE, "a path of somebody's machine"),
    ],
)
def test_no_file_names(forbidden: str, why: str) -> None:
    pattern = re.compile(forbidden)
    found = [
        f"{path.relative_to(BASE_DIR)}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}"
        for path in _files()
        if (text := _text(path))
        for match in [pattern.search(text)]
        if match
    ]
    assert found == [], why


def test_locks_hold_versions_and_hashes_and_nothing_else() -> None:
    locks = sorted((BASE_DIR / "requirements").glob("*.txt"))
    assert {lock.name for lock in locks} == {"dev.txt", "server.txt", "worker.txt", "uv.txt"}
    line = re.compile(r"^([A-Za-z0-9._-]+(\[[\w,-]+\])?==[^\s/]+( ; [^/]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?)$")
    for lock in locks:
        wrong = [text for text in lock.read_text().splitlines() if not line.match(text)]
        assert wrong == [], lock.name


def test_pages_are_driven_where_ci_looks_for_it() -> None:
    """`.ci/run` leaves what is marked ``browser`` to a part of its own, which reads this folder alone."""
    elsewhere = [
        path
        for path in (BASE_DIR / "tests").rglob("test_*.py")
        if "mark.browser" in path.read_text() and path.parent.name != "browser" and path != Path(__file__)
    ]
    assert elsewhere == []
    assert "pytest tests/browser -m browser" in (BASE_DIR / ".ci" / "run").read_text()


# The extra `reports` and what it brings: the image that models are run in need not have it.
PRINTING = {
    "brotli", "brotlicffi", "cssselect2", "fonttools", "pillow", "pydyf", "pyphen", "tinycss2", "tinyhtml5", "weasyprint",
    "webencodings", "zopfli",
}  # fmt: skip


def test_what_is_deployed_is_what_was_tested() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([\w.\[\],-]+==\S+)", (BASE_DIR / "requirements" / name).read_text(), re.MULTILINE))

    for name in ("server.txt", "worker.txt"):
        assert pins(name) <= pins("dev.txt"), name
    only_server = {pin.split("==")[0] for pin in pins("server.txt") - pins("worker.txt")}
    assert "weasyprint" in only_server and only_server <= PRINTING, "but for what prints, the worker has all that the server has"
    assert pins("worker.txt") - pins("server.txt")


def test_the_servers_image_has_what_its_code_imports() -> None:
    """Also what is imported late, which would be missed until somebody asks for it."""
    locked = set(re.findall(r"^([\w.-]+)", (BASE_DIR / "requirements" / "server.txt").read_text(), re.MULTILINE))
    ours = {"config", "interfaces", "workflows", "governance", "webhooks", "registry", "tracking", "artifacts", "core", "scripts"}
    elsewhere = (
        "governance/checks/",
        "workflows/runner/",
        "scripts/ground_truth/",
    )  # in the sandbox, and not in the image at all
    assert "scripts/ground_truth" in (BASE_DIR / ".dockerignore").read_text().splitlines()
    owners = packages_distributions()
    missing = []
    for path in _files():
        name = str(path.relative_to(BASE_DIR))
        if path.suffix != ".py" or name.split("/")[0] not in ours or name.startswith(elsewhere):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            imported = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            for module in imported:
                top = module.split(".")[0]
                distributions = {owner.lower().replace("_", "-") for owner in owners.get(top, [])}
                if top not in ours and top not in sys.stdlib_module_names and not distributions & locked:
                    missing.append(f"{name}:{node.lineno}: {module}")
    assert missing == []


def test_an_image_started_alone_runs_what_compose_runs() -> None:
    text = (BASE_DIR / "Dockerfile").read_text()
    targets = dict(re.findall(r"^FROM base AS (\w+)\n(.*?)(?=^FROM|\Z)", text, re.MULTILINE | re.DOTALL))
    for target, process in (("server", "web"), ("worker", "checks")):
        default = re.findall(r"^CMD (\[.*\])$", targets[target], re.MULTILINE)[-1]
        assert yaml.safe_load(default) == commands()[process]
        assert re.search(r"^USER \d+$", targets[target], re.MULTILINE), "an ordinary account by number"


def test_compose_has_no_secret_of_its_own_and_waits_for_what_it_needs() -> None:
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())
    services = compose["services"]
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "ALLOWED_HOSTS"):
        uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", (BASE_DIR / "docker-compose.yml").read_text())
        assert uses and all(use.startswith(":?") for use in uses), name
    for name in LONG_RUNNING:
        waits = services[name]["depends_on"]
        assert waits["migrate"]["condition"] == "service_completed_successfully"
        assert {waits["postgres"]["condition"], waits["redis"]["condition"]} == {"service_healthy"}
        assert "healthcheck" in services[name]
    assert services["beat"].get("deploy", {}).get("replicas", 1) == 1
