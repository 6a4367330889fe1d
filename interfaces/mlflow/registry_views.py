"""Registered models and their versions."""

from __future__ import annotations

from interfaces.mlflow.routing import Route

ROUTES: list[Route] = []
