"""Read Python code that comes with a model, to say what in it a reviewer should see first. It is parsed and never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from governance.checks.base import Finding
from governance.checks.scanning.limits import Unreadable

_LONGEST = 2 << 20
_MODULES = frozenset(
    {"subprocess", "socket", "ctypes", "pty", "marshal", "multiprocessing", "signal", "urllib", "requests", "http", "ftplib"}
    | {"smtplib", "telnetlib", "httpx", "aiohttp", "paramiko", "webbrowser", "resource", "mmap", "runpy", "code"}
)
_CALLS = frozenset({"eval", "exec", "compile", "__import__", "globals", "breakpoint"})
_OF_OS = frozenset(
    {
        "system",
        "popen",
        "fork",
        "forkpty",
        "kill",
        "killpg",
        "remove",
        "unlink",
        "rmdir",
        "environ",
        "environb",
        "getenv",
        "putenv",
    }
    | {"chmod", "chown", "symlink", "link", "_exit", "abort", "setuid", "setsid", "dup2", "startfile", "posix_spawn"}
)
_MODULES_OF_OS = frozenset({"os", "posix", "shutil", "sys"})
_OF_OTHERS = frozenset({"rmtree", "settrace", "setprofile", "_getframe", "meta_path"})
_BEGINNINGS = ("exec", "spawn")
_MOST_LISTED = 10


def code_findings(data: bytes, name: str, location: str) -> list[Finding]:
    """Return that there is code, and where it reaches beyond the model. Raises Unreadable for what Python cannot read."""
    findings = [Finding("code", "medium", location, f"{name} is code that comes with the model. Review it.")]
    if len(data) > _LONGEST:
        raise Unreadable(f"code of more than {_LONGEST} bytes is not read", "too-large")
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as cause:
        message = f"{name} is no Python that this scan can read ({str(cause)[:200]}), so nobody has looked into it."
        return [*findings, Finding("unreadable", "medium", location, message)]
    reaches = sorted(set(_reaches(tree)))
    if reaches:
        listed = ", ".join(f"{what} (line {line})" for line, what in reaches[:_MOST_LISTED])
        more = f", and {len(reaches) - _MOST_LISTED} more" if len(reaches) > _MOST_LISTED else ""
        message = f"{name} reaches beyond the model: {listed}{more}. Review these lines first."
        findings.append(Finding("dangerous-code", "high", location, message))
    return findings


def _reaches(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name[:60]) for each in node.names if each.name.split(".")[0] in _MODULES)
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")[0]
            if module in _MODULES:
                yield node.lineno, module
            elif module in _MODULES_OF_OS:
                yield from ((node.lineno, f"{module}.{each.name}"[:60]) for each in node.names if _is_grave(each.name))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            yield node.lineno, node.func.id
        elif isinstance(node, ast.Attribute):
            of_os = isinstance(node.value, ast.Name) and node.value.id in _MODULES_OF_OS and _is_grave(node.attr)
            if of_os or node.attr in ("__globals__", "__subclasses__", "__builtins__", "__code__"):
                yield node.lineno, ast.unparse(node)[:60] if of_os else node.attr


def _is_grave(name: str) -> bool:
    return name in _OF_OS | _OF_OTHERS or name.startswith(_BEGINNINGS)
