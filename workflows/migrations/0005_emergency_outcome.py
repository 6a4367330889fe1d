from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("workflows", "0004_inboxes")]

    operations = [
        migrations.AddField(
            model_name="breakglass",
            name="outcome",
            field=models.TextField(blank=True, default=""),
        ),
    ]
