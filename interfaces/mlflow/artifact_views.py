"""Files of runs and logged models."""

from __future__ import annotations

from interfaces.mlflow.routing import Route

ROUTES: list[Route] = []
