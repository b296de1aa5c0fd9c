"""Tell every process that a licence changed, whoever changed it: a command, the admin, a bulk action or plain SQL.

The payload is the user id. At 255 characters it stays far below the 8,000 bytes that NOTIFY takes.
"""

from django.db import migrations

TELL = """
CREATE FUNCTION tell_licence_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('licences', COALESCE(NEW.user_id, OLD.user_id));
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_licence_change AFTER INSERT OR UPDATE OR DELETE ON user_licenses
    FOR EACH ROW EXECUTE FUNCTION tell_licence_change();
"""
BE_QUIET = "DROP TRIGGER tell_licence_change ON user_licenses; DROP FUNCTION tell_licence_change();"


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
    ]

    operations = [migrations.RunSQL(TELL, BE_QUIET)]
