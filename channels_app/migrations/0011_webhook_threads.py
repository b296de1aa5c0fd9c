"""Threads of callback accounts with a colon get keys that no other account's can be."""

from django.db import migrations

# An account whose name begins another's name is left to the longer one.
RENAME = """
    UPDATE chat_threads t SET thread = '/' || k.account || '/' || substr(t.thread, length(k.account) + 2)
    FROM (SELECT DISTINCT ON (o.id) o.id, l.channel_user_id AS account
        FROM chat_threads o JOIN user_channel_links l ON l.channel_type = o.channel AND l.user_id = o.user_id
        WHERE o.channel = 'webhook' AND l.channel_user_id LIKE '%:%' AND starts_with(o.thread, l.channel_user_id || ':')
        ORDER BY o.id, length(l.channel_user_id) DESC) k
    WHERE k.id = t.id
"""


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0006_admin"),
        ("channels_app", "0010_repeats"),
    ]

    operations = [migrations.RunSQL(RENAME, migrations.RunSQL.noop)]
