"""In which language people are spoken to in chat apps."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0006_admin"),
    ]

    operations = [
        migrations.CreateModel(
            name="UserLanguage",
            fields=[
                ("user_id", models.TextField(primary_key=True, serialize=False)),
                ("language", models.TextField()),
            ],
            options={
                "db_table": "user_languages",
            },
        ),
        migrations.AddField(
            model_name="channellink",
            name="language",
            field=models.TextField(blank=True, db_default="", default="", help_text="as the platform tells it"),
        ),
    ]
