import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from core.migrations._unindexed import unindexed

PROTECT, CASCADE = django.db.models.deletion.PROTECT, django.db.models.deletion.CASCADE


def person(**options):
    return models.ForeignKey(settings.AUTH_USER_MODEL, db_index=False, **options)


def maker():
    return person(null=True, on_delete=PROTECT, related_name="+")


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("tracking", "0008_keys_of_what_is_logged"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        unindexed("experiment", "created_by", maker(), "tracking_experiment_created_by_id_309c732f"),
        unindexed(
            "experimentgrouppermission",
            "group",
            models.ForeignKey(db_index=False, on_delete=CASCADE, to="auth.group"),
            "tracking_experimentgrouppermission_group_id_2805f8d5",
        ),
        unindexed(
            "experimentgrouppermission",
            "permission",
            models.ForeignKey(db_index=False, on_delete=CASCADE, to="auth.permission"),
            "tracking_experimentgrouppermission_permission_id_f40c0124",
        ),
        unindexed(
            "experimentuserpermission",
            "permission",
            models.ForeignKey(db_index=False, on_delete=CASCADE, to="auth.permission"),
            "tracking_experimentuserpermission_permission_id_58b47c3f",
        ),
        unindexed("experimentuserpermission", "user", person(on_delete=CASCADE), "tracking_experimentuserpermission_user_id_5d51169f"),
        unindexed("loggedmodel", "created_by", maker(), "tracking_loggedmodel_created_by_id_003a6f87"),
        unindexed("run", "created_by", maker(), "tracking_run_created_by_id_f640b3dd"),
        unindexed("trace", "created_by", maker(), "tracking_trace_created_by_id_cf265289"),
        unindexed("traceassessment", "created_by", maker(), "tracking_traceassessment_created_by_id_437f47d5"),
    ]
