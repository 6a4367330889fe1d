from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TrackingConfig(AppConfig):
    name = "tracking"

    def ready(self) -> None:
        from tracking import defaults

        post_migrate.connect(defaults.ensure_default_experiment, sender=self, dispatch_uid="ensure default experiment")
