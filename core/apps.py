from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "core"

    def ready(self) -> None:
        from core import access, commands

        post_migrate.connect(access.forget_permission_ids, dispatch_uid="forget permission ids")
        post_migrate.connect(commands.ensure_roles, sender=self, dispatch_uid="ensure roles")
