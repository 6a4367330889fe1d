"""Experiments, runs and what they log."""

from __future__ import annotations

from interfaces.mlflow.routing import Route

ROUTES: list[Route] = []
