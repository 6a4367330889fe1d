from django.apps import AppConfig
from django.db.models.signals import post_migrate


class RegistryConfig(AppConfig):
    name = "registry"

    def ready(self) -> None:
        from registry import stages

        post_migrate.connect(stages.ensure_stages, sender=self, dispatch_uid="ensure stages")
