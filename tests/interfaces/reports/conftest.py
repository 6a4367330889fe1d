"""Reports are read on the scene that pages are read on."""

from __future__ import annotations

from tests.interfaces.web.conftest import scene, signed_in

__all__ = ["scene", "signed_in"]
