"""Answers to /stop and /status come before what waits in their chat."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("channels_app", "0011_webhook_threads"),
    ]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="urgent",
            field=models.BooleanField(
                db_default=False, default=False, help_text="it comes before what waits in its chat"
            ),
        ),
    ]
