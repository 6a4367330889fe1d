from core.migrations._append_only import append_only
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial")]
    operations = [append_only("registry_modelversionfile", "registry_datasetversion")]
