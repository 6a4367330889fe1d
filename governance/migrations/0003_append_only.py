from core.migrations._append_only import append_only
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("governance", "0002_initial")]
    operations = [append_only("governance_policyrevision", "governance_measurement", "governance_finding", "governance_evidencetable", "governance_modelcard", "governance_decision")]
