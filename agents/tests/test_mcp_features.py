"""Tools behind a feature of the licence. Source: docs/security.md, How much: looked at where they are used."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.utils import timezone

from accounts.licences import active_licence
from accounts.models import UserLicence
from agents.errors import AgentFailed
from agents.mcp.pool import Pool
from agents.mcp.session import Session
from agents.tests.doubles.mcp_double import McpDouble, mcp_double

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def double(users: dict[str, str], pool: None, settings: Any, signing_key: str) -> AsyncIterator[McpDouble]:
    """The server of demo-pro's tools, whose licence opens everything."""
    async with mcp_double() as server:
        settings.MCP_SERVER_URL_ALLOWLIST = [server.server.url]
        await UserLicence.objects.filter(user_id="demo-pro").aupdate(mcp_server_url=server.url)
        yield server


@pytest.fixture
async def session(double: McpDouble) -> AsyncIterator[Session]:
    """A session that began under that licence."""
    kept = Pool()
    yield kept.session(await active_licence("demo-pro"))
    await kept.close()


CHANGES = [
    ({"features": {"deploy": False}}, "not_included"),
    ({"expires_at": timezone.now()}, "licence_expired"),
    ({"resource_limits": {"memory": "much"}}, "no_licence"),
]


@pytest.mark.parametrize(("change", "code"), CHANGES)
async def test_a_licence_that_changed_since_the_turn_began_deploys_nothing(
    double: McpDouble, session: Session, change: dict[str, Any], code: str
) -> None:
    assert (await session.call_tool("look", {})).text == "done"
    await UserLicence.objects.filter(user_id="demo-pro").aupdate(**change)
    with pytest.raises(AgentFailed) as refused:
        await session.call_tool("deploy_strategy", {})

    assert refused.value.code == code
    assert double.count("tools/call") == 1


async def test_what_is_behind_no_feature_is_called_all_the_same(double: McpDouble, session: Session) -> None:
    await UserLicence.objects.filter(user_id="demo-pro").aupdate(features={"deploy": False})

    assert (await session.call_tool("look", {})).text == "done"
