"""The JSON Schemas of the documents that people write: policy, parameters, binding. Published, so that editors complete them."""

from __future__ import annotations

from typing import Any

NAME = "^[a-z0-9][a-z0-9-]{0,99}$"
# A check that is not installed here is named after who has it, as in acme/load-test.
CHECK_NAME = "^[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)?$"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_EXPRESSION = {"type": "string", "minLength": 1}
_SCALAR = {"type": ["string", "number", "integer", "boolean"]}
_TEXT = {"type": "string", "minLength": 1}
_GROUP = {"type": "string", "minLength": 1, "maxLength": 150}
_DURATION = {
    "type": "string",
    "pattern": "^[1-9][0-9]{0,3} (business )?(hour|day)s?$",
    "description": "a time such as 36 hours, 2 days, 16 business hours or 3 business days",
}

_FACTOR = {
    "type": "object",
    "additionalProperties": False,
    "required": ["group", "count"],
    "properties": {
        "group": _GROUP,
        "count": {"type": "integer", "minimum": 1, "maximum": 20},
        "constraints": {"type": "array", "items": {"enum": ["outside_owner_team", "not_policy_author"]}, "uniqueItems": True},
    },
}
_STEP = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "factors"],
    "properties": {
        "name": {"type": "string", "pattern": NAME},
        "title": _TEXT,
        "applies_if": _EXPRESSION,
        "factors": {"type": "array", "minItems": 1, "maxItems": 10, "items": _FACTOR},
        "due": _DURATION,
        "escalate_to": _GROUP,
    },
}
_STEPS = {"type": "array", "minItems": 1, "maxItems": 20, "items": _STEP}

POLICY_SCHEMA: dict[str, Any] = {
    "$schema": DIALECT,
    "title": "Countersign policy",
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "name", "requirements"],
    "x-instead": {"approvals": "steps: [{name: review, factors: [{group: reviewer, count: 2}]}]"},
    "properties": {
        "kind": {"const": "Policy"},
        "name": {"type": "string", "pattern": NAME},
        "title": _TEXT,
        "description": {"type": "string"},
        "parameters": {
            "type": "object",
            "propertyNames": {
                "pattern": "^[a-z_][a-z0-9_]*$",
                "description": "lower-case letters, digits and underscores, as in min_roc_auc",
            },
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["type"],
                "properties": {
                    "type": {"enum": ["number", "integer", "text", "flag"]},
                    "default": _SCALAR,
                    "description": {"type": "string"},
                },
            },
        },
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["check"],
                "properties": {
                    "check": {"type": "string", "pattern": CHECK_NAME, "maxLength": 100},
                    "source": {
                        "enum": ["worker", "reported"],
                        "description": "who measures: a worker here unless said otherwise, or a pipeline elsewhere that reports",
                    },
                    "dataset": _TEXT,
                    "with": {"type": "object"},
                },
            },
        },
        "requirements": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "title", "satisfied_if", "how_to_satisfy"],
                "properties": {
                    "id": {"type": "string", "pattern": NAME},
                    "title": _TEXT,
                    "applies_if": _EXPRESSION,
                    "satisfied_if": _EXPRESSION,
                    "override_if": _EXPRESSION,
                    "how_to_satisfy": _TEXT,
                    "materiality": {"enum": ["material", "immaterial"]},
                    "waivable": {"type": "boolean"},
                    "shows": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["value"],
                        "properties": {
                            "value": _EXPRESSION,
                            "limit": _EXPRESSION,
                            "champion": _EXPRESSION,
                            "limit_is": {"enum": ["at_least", "at_most", "equal"]},
                            "evidence": {"type": "string"},
                        },
                    },
                },
            },
        },
        "order": {"enum": ["sequential", "parallel"], "description": "of the steps; sequential unless said otherwise"},
        "steps": _STEPS,
        "calendar": {"type": "string", "pattern": NAME, "description": "the business calendar that due times go by"},
        "materiality": {
            "type": "object",
            "description": "pattern on what a reviewer saw, such as card.contact*: material or immaterial; the first that fits decides",
            "additionalProperties": {"enum": ["material", "immaterial"]},
        },
        "waivers": {
            "type": "object",
            "additionalProperties": False,
            "required": ["approved_by", "max_days"],
            "properties": {"approved_by": _GROUP, "max_days": {"type": "integer", "minimum": 1, "maximum": 730}},
        },
        "signature": {
            "type": "object",
            "additionalProperties": False,
            "required": ["meanings"],
            "properties": {"meanings": {"type": "array", "minItems": 1, "items": _TEXT, "uniqueItems": True}},
        },
        "release": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "execute": {"enum": ["on_approval", "on_demand"], "description": "by itself, or when somebody says so"},
                "windows": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["starts", "duration", "timezone"],
                        "properties": {
                            "starts": {
                                "type": "string",
                                "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$",
                                "description": "local time of the first window, such as 2026-01-05T09:00",
                            },
                            "duration": _DURATION,
                            "timezone": _TEXT,
                            "rrule": {
                                "type": "string",
                                "description": "a recurrence as in RFC 5545, such as FREQ=WEEKLY;BYDAY=MO,TU",
                            },
                        },
                    },
                },
            },
        },
        "validity": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "days": {"type": "integer", "minimum": 1, "description": "how long an approval holds before a re-review is due"},
                "re_review_on": {
                    "type": "array",
                    "uniqueItems": True,
                    "items": {
                        "enum": ["dataset_recalled", "vulnerability", "drift", "incident", "tier_changed", "waiver_expired"]
                    },
                },
                "due": _DURATION,
                "escalate_to": _GROUP,
            },
        },
        "rollback": {
            "type": "object",
            "additionalProperties": False,
            "required": ["steps"],
            "properties": {"steps": _STEPS, "within_days": {"type": "integer", "minimum": 1}},
        },
        "expires_after_days": {"type": "integer", "minimum": 1},
        "on_timeout": {"enum": ["expire", "escalate"], "description": "what follows when its time ends; never an approval"},
    },
}

_PARAMETER_VALUES = {"type": "object", "additionalProperties": _SCALAR}

PARAMETERS_SCHEMA: dict[str, Any] = {
    "$schema": DIALECT,
    "title": "Countersign policy parameters",
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "name", "policy", "values"],
    "properties": {
        "kind": {"const": "Parameters"},
        "name": {"type": "string", "pattern": NAME},
        "policy": {"type": "string", "pattern": NAME},
        "values": _PARAMETER_VALUES,
    },
}

BINDING_SCHEMA: dict[str, Any] = {
    "$schema": DIALECT,
    "title": "Countersign policy binding",
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "name", "policy", "targets"],
    "properties": {
        "kind": {"const": "Binding"},
        "name": {"type": "string", "pattern": NAME},
        "policy": {"type": "string", "pattern": NAME},
        "mode": {"enum": ["enforce", "warn", "shadow"]},
        "since": {
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z)?$",
            "description": "a date such as 2026-01-31, or a moment in UTC such as 2026-01-31T09:00Z, from which it is in force",
        },
        "match": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "models": {"type": "array", "items": _TEXT, "minItems": 1},
                "risk_tiers": {"type": "array", "items": {"enum": ["low", "medium", "high"]}, "minItems": 1},
                "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "targets": {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": {
                "stages": {"type": "array", "items": _TEXT, "minItems": 1},
                "aliases": {"type": "array", "items": _TEXT, "minItems": 1},
            },
        },
        "parameters": {
            "description": "values of its own such as {min_roc_auc: 0.7}, or the name of published parameters",
            "type": ["object", "string"],
            "additionalProperties": _SCALAR,
        },
    },
}
