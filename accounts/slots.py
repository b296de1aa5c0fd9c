"""How many turns of a user may run at once, for the queue's own SQL: a claim must not read a licence for each row it passes."""

from typing import LiteralString

from psycopg.types.json import Jsonb

from accounts.tiers import FEATURES, tier_limits


def turn_cap(user: LiteralString) -> LiteralString:
    """An SQL expression for the cap of `user` (a column of our own code); needs the parameter `turn_caps`.

    NULL = no limit, also without a licence: such a turn runs to be told so. A cap of 0 counts as 1, so that what was accepted
    before ends. Whatever stands in the licence, the expression raises nothing.
    """
    return (
        "(SELECT CASE jsonb_typeof(l.resource_limits -> 'turns_at_once')"
        " WHEN 'number' THEN GREATEST((l.resource_limits ->> 'turns_at_once')::numeric, 1) WHEN 'null' THEN NULL"
        " ELSE (%(turn_caps)s::jsonb ->> l.license_type)::numeric END"
        f" FROM user_licenses l WHERE l.user_id = {user})"
    )


def turn_caps() -> Jsonb:
    """The value of the parameter `turn_caps`: each tier's own cap."""
    return Jsonb({tier: tier_limits(tier).turns_at_once for tier in FEATURES})
