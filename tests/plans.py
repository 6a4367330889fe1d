"""How PostgreSQL carries out what was asked of it."""

from __future__ import annotations

from typing import Any

from django.db import connection


def explained(statement: str) -> dict[str, Any]:
    """Carry out a statement and return its plan, with the rows that each step met."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        plan: dict[str, Any] = cursor.fetchone()[0][0]["Plan"]
    return plan


def most_rows(plan: dict[str, Any]) -> int:
    """Return how many rows the busiest step of a plan looked at."""
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * max(plan["Actual Loops"], 1)
    return max([int(own), *(most_rows(each) for each in plan.get("Plans", ()))])
