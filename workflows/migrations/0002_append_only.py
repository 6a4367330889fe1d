from core.migrations._append_only import append_only
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("workflows", "0001_initial")]
    operations = [append_only("workflows_review", "workflows_requestpolicy")]
