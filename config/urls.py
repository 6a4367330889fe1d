"""Which dialect answers which address. MLflow's paths are answered earlier, by ``interfaces.dialects``."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
