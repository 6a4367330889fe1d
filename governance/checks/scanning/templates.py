"""Look into Jinja templates, such as the chat templates that come with language models.

A loader renders them. Outside of Jinja's sandbox an expression that reaches an attribute with underscores runs any code.
Source: Jinja, "Sandbox"; CVE-2024-34359 (a chat template in a GGUF file).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from governance.checks.base import Finding

_TRICKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("reaches an attribute of Python's own", re.compile(r"__[a-zA-Z]+__|_TemplateReference__")),
    ("reaches attributes by name", re.compile(r"\|\s*attr\b|\bgetattr\b")),
    ("writes an underscore so that nobody sees it", re.compile(r"\\x5f|\\u005f|\\U0000005f|\\137|%c", re.IGNORECASE)),
    ("puts underscores together", re.compile(r"""(['"])_{1,2}\1|['"]__[a-zA-Z]*['"]|['"][a-zA-Z]*__['"]""")),
    ("uses a function that leads to Python's modules", re.compile(r"\blipsum\b|\bcycler\s*\.|\bjoiner\s*\.|\bpopen\b")),
    ("takes in another template", re.compile(r"\{%-?\s*(?:include|import|from|extends)\b")),
)
_LONG_LOOP = re.compile(r"\brange\s*\(\s*[^)]*\d{7,}|\*\*\s*\d{4,}|\*\s*\d{7,}")


def template_findings(template: str, location: str) -> Iterator[Finding]:
    """Yield a finding for each trick in the template."""
    inside = "\n".join(re.findall(r"\{[{%].*?[}%]\}", template, re.DOTALL)) if len(template) < 1 << 20 else template
    for what, trick in _TRICKS:
        if match := trick.search(inside):
            message = f"The template {what}: {match[0][:60]!r}. Where it is rendered without a sandbox, it runs code."
            yield Finding("template-injection", "critical", location, message)
    if match := _LONG_LOOP.search(inside):
        yield Finding("bomb", "high", location, f"The template computes without end: {match[0][:60]!r}.")
