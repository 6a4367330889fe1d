import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from core.migrations._unindexed import unindexed

PROTECT, CASCADE = django.db.models.deletion.PROTECT, django.db.models.deletion.CASCADE


def person(**options):
    return models.ForeignKey(settings.AUTH_USER_MODEL, db_index=False, **options)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("registry", "0008_data_contracts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        unindexed(
            "aliasassignment",
            "version",
            models.ForeignKey(db_index=False, on_delete=PROTECT, related_name="alias_assignments", to="registry.modelversion"),
            "registry_aliasassignment_version_id_09b46f80",
        ),
        unindexed(
            "modelgrouppermission",
            "group",
            models.ForeignKey(db_index=False, on_delete=CASCADE, to="auth.group"),
            "registry_modelgrouppermission_group_id_8962110b",
        ),
        unindexed(
            "modelgrouppermission",
            "permission",
            models.ForeignKey(db_index=False, on_delete=CASCADE, to="auth.permission"),
            "registry_modelgrouppermission_permission_id_b30238b0",
        ),
        unindexed(
            "modeluserpermission",
            "permission",
            models.ForeignKey(db_index=False, on_delete=CASCADE, to="auth.permission"),
            "registry_modeluserpermission_permission_id_1561e767",
        ),
        unindexed("modeluserpermission", "user", person(on_delete=CASCADE), "registry_modeluserpermission_user_id_aa26c2fc"),
        unindexed(
            "modelversion",
            "created_by",
            person(null=True, on_delete=PROTECT, related_name="+"),
            "registry_modelversion_created_by_id_5f6565c3",
        ),
        unindexed(
            "registeredmodel",
            "created_by",
            person(null=True, on_delete=PROTECT, related_name="+"),
            "registry_registeredmodel_created_by_id_96eebb8f",
        ),
        unindexed(
            "registeredmodel",
            "owner_team",
            models.ForeignKey(blank=True, db_index=False, null=True, on_delete=PROTECT, related_name="+", to="auth.group"),
            "registry_registeredmodel_owner_team_id_3acb374e",
        ),
        unindexed(
            "stageassignment",
            "stage",
            models.ForeignKey(db_index=False, on_delete=PROTECT, related_name="+", to="registry.stage"),
            "registry_stageassignment_stage_id_7dc8c7cc",
        ),
        unindexed(
            "stageassignment",
            "version",
            models.ForeignKey(db_index=False, on_delete=PROTECT, related_name="stage_assignments", to="registry.modelversion"),
            "registry_stageassignment_version_id_ac493cc5",
        ),
        migrations.AddIndex(
            model_name="registeredmodel",
            index=models.Index(condition=models.Q(("owner_team__isnull", False)), fields=["owner_team"], name="model_of_team"),
        ),
    ]
