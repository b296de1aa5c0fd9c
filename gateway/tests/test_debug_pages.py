"""A developer's debug page is still no place for a password."""

from typing import Any

from gateway.debug_pages import SettingsFilter


def test_the_settings_on_a_debug_page_hold_no_password(settings: Any) -> None:
    settings.DATABASE_DIRECT_URL = settings.REDIS_URL = "scheme://gateway:hunter2@host/1"
    settings.OIDC_CLIENT_SECRET = settings.TELEGRAM_BOT_TOKEN = settings.WORKSPACE_SIGNING_KEY = "hunter2"

    shown = SettingsFilter().get_safe_settings()

    assert "hunter2" not in repr(shown)
    assert shown["PORT"] == settings.PORT
    assert settings.DEFAULT_EXCEPTION_REPORTER_FILTER == "gateway.debug_pages.SettingsFilter"
