"""What is said at once, such as the answer to /stop, comes before what waits in their chat; an answer that grows there does not shrink."""

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
        migrations.AddField(
            model_name="delivery",
            name="shown_chars",
            field=models.PositiveIntegerField(db_default=0, default=0, help_text="of an answer that grows"),
        ),
    ]
