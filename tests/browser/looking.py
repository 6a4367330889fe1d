"""What nobody should meet on a page: a violation that axe finds, in either theme, or something that scrolls sideways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_WIDTHS = (1600, 1440, 1000, 820, 390, 360)
_READ_AT = (1440, 390)
# What colours decide; all else is the same in both themes.
_OF_COLOURS = ("color-contrast", "link-in-text-block")


def violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """Return what axe finds on a page as it is now, by all of its rules or by some."""
    options: dict[str, Any] = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{violation['id']}: {node['html'][:160]}" for violation in found for node in violation["nodes"]]


def faults(page: Page) -> Iterator[tuple[str, list[str]]]:
    """Yield where something is wrong with an open page, wide and narrow, in both themes, and what."""
    page.emulate_media(reduced_motion="reduce")
    for width in _WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if (needed := page.evaluate("document.documentElement.scrollWidth")) > width:
            yield f"{width} px", [f"scrolls sideways: {needed} px"]
        if width in _READ_AT:
            for theme, rules in (("light", ()), ("dark", _OF_COLOURS)):
                page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
                if names := violations(page, rules):
                    yield f"{width} px, {theme}", names
