"""A developer's debug page is still no place for a password."""

from typing import Any

import pytest
from django.test import AsyncClient

from gateway.debug_pages import SettingsFilter


def test_the_settings_on_a_debug_page_hold_no_password(settings: Any) -> None:
    settings.DATABASE_DIRECT_URL = settings.REDIS_URL = "scheme://gateway:hunter2@host/1"
    settings.OIDC_CLIENT_SECRET = settings.TELEGRAM_BOT_TOKEN = settings.WORKSPACE_SIGNING_KEY = "hunter2"

    shown = SettingsFilter().get_safe_settings()

    assert "hunter2" not in repr(shown)
    assert shown["PORT"] == settings.PORT
    assert settings.DEFAULT_EXCEPTION_REPORTER_FILTER == "gateway.debug_pages.SettingsFilter"


@pytest.mark.parametrize("path", ["/nope", "/signin/nope"])
async def test_where_nothing_is_a_developer_sees_the_page_that_everybody_sees(settings: Any, path: str) -> None:
    settings.DEBUG = True

    answer = await AsyncClient().get(path)

    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()
    assert "URLconf" not in answer.content.decode()


async def test_a_view_that_finds_nothing_shows_it_too(settings: Any) -> None:
    """Without OIDC_ISSUER there is no provider to be sent to."""
    settings.DEBUG, settings.OIDC_ISSUER = True, ""

    answer = await AsyncClient().get("/signin/provider/")

    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


async def test_a_slash_that_is_missing_is_still_put_there(settings: Any) -> None:
    settings.DEBUG = True

    answer = await AsyncClient().get("/account")

    assert (answer.status_code, answer["Location"]) == (301, "/account/")
