"""Tags and filters for what every template draws: icons, times, numbers, digests."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from interfaces.web.pages import lineage, words

register = template.Library()


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """Return a decorative icon of the sprite; the word beside it carries the meaning."""
    classes = f"i {extra}".strip()
    if name == "run":
        classes += " spin"
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#i-{}"/></svg>', classes, static("countersign/icons.svg"), name
    )


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """Return a time as ``17 Nov 2026, 09:12``, in UTC."""
    return _time(at, words.moment(at)) if at else "none"


@register.filter
def moment_exact(at: datetime | None) -> SafeString | str:
    """Return a time with its seconds."""
    return _time(at, words.moment(at, seconds=True)) if at else "none"


@register.filter
def day(at: datetime | None) -> SafeString | str:
    """Return the day of a time as ``17 Nov 2026``."""
    return _time(at, words.day(at)) if at else "none"


def _time(at: datetime, text: str) -> SafeString:
    return format_html('<time datetime="{}">{}</time>', words.utc(at).strftime("%Y-%m-%dT%H:%M:%SZ"), text)


@register.filter
def dataset_page(reference: str) -> str:
    """Return the address of a data set's version, or nothing for words that name none."""
    return lineage.dataset_page(reference)


@register.filter
def short(digest: str) -> str:
    """Return a digest shortened in the middle."""
    return words.short(digest)


@register.filter
def thousands(number: int | None) -> str:
    """Return a whole number with thousands separated, or ``none``."""
    return "none" if number is None else f"{number:,}"


@register.filter
def size(number: int | None) -> str:
    """Return bytes in the unit a person would use."""
    return words.size(number or 0)


@register.filter
def initials(name: str) -> str:
    """Return up to two initials of a name."""
    return words.initials(name)
