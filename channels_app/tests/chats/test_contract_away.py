"""What every platform is told while we can't keep what it posts. Source: PLATFORMS: any other answer than 2xx is sent again."""

import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.db import connections

from channels_app.tests.doubles.driver import Driver
from channels_app.tests.live import error_code, serving
from channels_app.webhooks import WebhookGuard


async def test_while_the_database_is_away_the_platform_is_asked_to_come_again(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "PORT", "1")
    async with (
        serving(WebhookGuard(get_asgi_application())) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=30) as client,
    ):
        for post in (driver.message("Hi"), driver.press("token")):
            response = await client.post(f"/webhook/{driver.channel.name}", content=post.body, headers=post.headers)
            assert error_code(response, 503) == "unavailable"
