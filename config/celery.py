"""The Celery application: workers run jobs whose rows are the truth; beat only nudges."""

from __future__ import annotations

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

TRANSPORT_ALIASES["filesystem"] = "config.file_broker:Transport"
TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = "config.redis_broker:Transport"

app = Celery("countersign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["workflows"])

# Rows are the truth, so a lost nudge costs one sweep. A message nobody took in time is dropped: the next one says the same.
app.conf.beat_schedule = {
    "take up what was left": {"task": "workflows.sweep", "schedule": 5.0, "options": {"expires": 10}},
    "give events their place in the ledger": {"task": "workflows.sequence_ledger", "schedule": 2.0, "options": {"expires": 5}},
    "look through all events for one without a place": {
        "task": "workflows.sequence_ledger",
        "schedule": 3600.0,
        "kwargs": {"whole": True},
        "options": {"expires": 600},
    },
    "tell endpoints of events": {"task": "workflows.fan_out_events", "schedule": 2.0, "options": {"expires": 5}},
    "remove old deliveries": {"task": "workflows.tidy_deliveries", "schedule": 86_400.0, "options": {"expires": 3600}},
    "close requests whose time ended": {"task": "workflows.expire_requests", "schedule": 60.0, "options": {"expires": 60}},
    "note waivers whose time ended": {"task": "workflows.expire_waivers", "schedule": 60.0, "options": {"expires": 60}},
    "remind of reviews that are due": {"task": "workflows.remind_and_escalate", "schedule": 60.0, "options": {"expires": 60}},
    "end emergencies that are over": {"task": "workflows.end_emergencies", "schedule": 30.0, "options": {"expires": 30}},
    "ask for re-reviews that are due": {"task": "workflows.due_re_reviews", "schedule": 60.0, "options": {"expires": 60}},
    "remove contents nothing names": {"task": "workflows.collect_artifacts", "schedule": 86_400.0, "options": {"expires": 3600}},
    "remove old printouts": {"task": "workflows.tidy_printouts", "schedule": 86_400.0, "options": {"expires": 3600}},
    "tidy the broker's folder": {"task": "workflows.tidy_broker", "schedule": 3600.0, "options": {"expires": 600}},
}
