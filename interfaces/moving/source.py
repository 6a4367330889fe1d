"""What another server is asked for, however it is reached, and where it is reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from registry.moving import MovedModel, MovedVersion
from tracking.moving import MovedExperiment, MovedLoggedModel, MovedPoint, MovedRun


class Source(Protocol):
    """A server that is read: all of it in batches, each of which may be read again."""

    lists_deleted_models: bool  # whether logged models that were deleted are among what it yields

    def counts(self) -> dict[str, int]:
        """Return how many there are of each kind, as far as that is known beforehand."""

    def notes(self) -> list[str]:
        """Return what is there and not read, in words."""

    def experiments(self) -> Iterator[MovedExperiment]:
        """Yield all experiments, deleted ones too."""

    def runs(self) -> Iterator[list[MovedRun]]:
        """Yield all runs, deleted ones too."""

    def points(self, runs: Sequence[MovedRun]) -> Iterator[MovedPoint]:
        """Yield the whole history of all metrics of these runs."""

    def logged_models(self) -> Iterator[list[MovedLoggedModel]]:
        """Yield all logged models, and deleted ones where they can be seen."""

    def model_points(self, models: Sequence[MovedLoggedModel]) -> Iterator[MovedPoint]:
        """Yield the points that were measured on these logged models."""

    def models(self) -> Iterator[list[MovedModel]]:
        """Yield all registered models, prompts too."""

    def versions(self, models: Sequence[MovedModel]) -> list[MovedVersion]:
        """Return the versions of these models."""

    def close(self) -> None:
        """Let go of it."""


def remembered(address: str) -> str:
    """Return an address without credentials, driver and trailing slash: the name an origin is remembered under."""
    parts = urlsplit(address)
    if not parts.netloc:
        return address
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme.partition("+")[0], f"{host}{port}", parts.path.rstrip("/"), "", ""))
