from core.migrations._append_only import append_only
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [append_only("core_auditevent", "core_ledgerentry", "core_ledgercheckpoint")]
