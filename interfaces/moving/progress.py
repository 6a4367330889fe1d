"""Tell how far a long work is: by a bar on a terminal, by a line now and then elsewhere."""

from __future__ import annotations

import time

from django.core.management.base import OutputWrapper

_BAR = 24
_EVERY = 10.0  # seconds between lines where there is no terminal


class Progress:
    """The steps of one work, one after another."""

    def __init__(self, out: OutputWrapper) -> None:
        """Write to this."""
        self._out, self._terminal = out, out.isatty()
        self._title, self._total, self._done = "", 0, 0
        self._began = self._shown = 0.0

    def step(self, title: str, total: int = 0) -> None:
        """Begin a step. total: how many there are, 0 if that is not known."""
        self._title, self._total, self._done = title, total, 0
        self._began = time.monotonic()
        self._shown = self._began if not self._terminal else 0.0

    def advance(self, count: int = 1) -> None:
        """Note that so many more are done."""
        self._done += count
        now = time.monotonic()
        if now - self._shown < (0.1 if self._terminal else _EVERY):
            return
        self._shown = now
        self._show(now)

    def end(self, said: str) -> None:
        """End the step, saying what came of it."""
        seconds = time.monotonic() - self._began
        line = f"{self._title}: {said} ({seconds:.1f} s)"
        self._out.write(f"\r\x1b[K{line}" if self._terminal else line)

    def say(self, text: str) -> None:
        """Write a line between steps, or in the middle of one."""
        self._out.write(f"\r\x1b[K{text}" if self._terminal else text)

    def _show(self, now: float) -> None:
        rate = self._done / max(now - self._began, 0.001)
        of = f" of {self._total}" if self._total else ""
        text = f"{self._title}: {self._done}{of}, {rate:,.0f}/s"
        if not self._terminal:
            self._out.write(text)
            return
        filled = min(_BAR, _BAR * self._done // self._total) if self._total else 0
        bar = f"[{'#' * filled}{'.' * (_BAR - filled)}] " if self._total else ""
        self._out.write(f"\r\x1b[K{bar}{text}", ending="")
