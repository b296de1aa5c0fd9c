"""Source: DESIGN.md, section 3: why a workspace does not start is told; a task that nobody awaits must not fail unheard."""

import pytest

from accounts.licences import active_licence
from channels_app import warmup
from gateway.db import connection

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_database_that_fails_is_told_as_a_start_that_failed(users: dict[str, str], pool: None) -> None:
    licence, told = await active_licence("demo-pro"), []

    async def tell(state: str, detail: str) -> None:
        told.append((state, detail))

    async with connection() as conn:
        await conn.execute("ALTER TABLE workspaces RENAME TO workspaces_elsewhere")
        try:
            await warmup.begin(licence, tell=tell)
        finally:
            await conn.execute("ALTER TABLE workspaces_elsewhere RENAME TO workspaces")

    ((state, detail),) = told
    assert state == "failed"
    assert detail
