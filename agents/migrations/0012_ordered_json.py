import agents.models
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0011_tools'),
    ]

    operations = [
        migrations.AlterField(
            model_name='approval',
            name='details',
            field=agents.models.OrderedJSON(default=dict),
        ),
        migrations.AlterField(
            model_name='outboxrow',
            name='payload',
            field=agents.models.OrderedJSON(),
        ),
        migrations.AlterField(
            model_name='question',
            name='schema',
            field=agents.models.OrderedJSON(default=dict),
        ),
    ]
