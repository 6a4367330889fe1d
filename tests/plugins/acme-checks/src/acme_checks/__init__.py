"""Checks of Acme."""
