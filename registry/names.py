"""What a registered model, its tags, aliases and a version number may look like, as MLflow's server has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from core.errors import Invalid
from tracking import limits

MAX_NAME = 256
MAX_TAG_VALUE = 100_000
IS_PROMPT_TAG = "mlflow.prompt.is_prompt"
_MAX_NUMBER = 2**31 - 1
_ALIAS = re.compile(r"^[\w-]{1,255}\Z")
_RESERVED_ALIAS = re.compile(r"^(latest|v\d+)\Z", re.IGNORECASE)


def model_name(name: str) -> str:
    """Return the name if it can name a model. Raises Invalid, saying why not."""
    if not name.strip():
        raise Invalid("A registered model needs a name that is not blank.")
    if len(name) > MAX_NAME:
        raise Invalid(f"The name of a registered model has at most {MAX_NAME} characters.")
    if "/" in name or ":" in name:
        raise Invalid(f"Invalid model name {name!r}: it cannot contain '/' or ':'.")
    if name in (".", "..") or "\x00" in name:
        raise Invalid(f"Invalid model name {name!r}.")
    return name


def tags(given: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return tags as a dictionary; of two with one key the last wins. Raises Invalid for one that is too long."""
    checked = dict(given)
    for key, value in checked.items():
        tag(key, value)
    return checked


def tag(key: str, value: str = "") -> None:
    """Raise Invalid unless this can be a tag of a model or a version."""
    limits.check_key("tag", key)
    if len(value) > MAX_TAG_VALUE:
        raise Invalid(f"The value of a tag has at most {MAX_TAG_VALUE} characters; that of {key!r} has {len(value)}.")
    if "\x00" in value:
        raise Invalid("A tag cannot hold a NUL character.")


def is_prompt(given: Mapping[str, str]) -> bool:
    """Return whether these tags say that the model is one of MLflow's prompts."""
    return given.get(IS_PROMPT_TAG, "").lower() == "true"


def version_number(text: str | int) -> int:
    """Return the number of a version; ``"01"`` is 1, as for MLflow. Raises Invalid for what is no number."""
    try:
        number = int(text)
    except ValueError:
        raise Invalid(f"The version must be a whole number, and {text!r} is none.") from None
    return number if 0 < number <= _MAX_NUMBER else 0  # no version has the number 0


def known_alias(name: str) -> str:
    """Return a name that may be asked for as an alias. Raises Invalid."""
    if not _ALIAS.match(name):
        raise Invalid(f"Invalid alias {name!r}: use letters, digits, '_' and '-', at most 255 of them.")
    return name


def alias(name: str) -> str:
    """Return a name that an alias may have. Raises Invalid; ``latest`` and ``v`` with a number mean versions to MLflow."""
    if not _ALIAS.match(name) or _RESERVED_ALIAS.match(name):
        raise Invalid(f"{name!r} cannot be an alias: use letters, digits, _ and -, but not latest or v and a number.")
    return name
