"""The languages of the pages: which one a visitor reads, and the words of their scripts in it.

A visitor's own choice (a cookie, which follows the preference `language`) comes before what the browser asks for. The API, the
admin, webhooks and probes speak English: their words are read by programs and by staff.
"""

from collections.abc import Mapping
from functools import cache, partial
from gettext import GNUTranslations
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers

from gateway.middleware import AsyncMiddleware

ENGLISH_ONLY = ("/api/", "/admin/", "/webhook/", "/health", "/metrics", "/.well-known/", "/static/")
THEME_COOKIE = "theme"
THEMES = frozenset({"light", "dark"})

Words = dict[str, str | list[str]]


class LanguageMiddleware(AsyncMiddleware):
    """Write a page in its visitor's language."""

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(ENGLISH_ONLY):
            return await self.get_response(request)
        language = translation.get_language_from_request(request)
        with translation.override(language):
            response = await self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response


def look(request: HttpRequest) -> dict[str, Any]:
    """What every page's template needs to know of its visitor's choices; a context processor."""
    return look_of(translation.get_language() or settings.LANGUAGE_CODE, theme=request.COOKIES.get(THEME_COOKIE, ""))


def look_of(language: str, *, theme: str = "") -> dict[str, Any]:
    """The same of a language and a theme ("" = as the system)."""
    return {
        "language": language,
        "languages": settings.LANGUAGES,
        "theme": theme if theme in THEMES else "",
        "words": partial(script_words, language),
    }


@cache
def script_words(language: str) -> Words:
    """The translations of the scripts' words by the English ones, which are given twice for what is counted; none for English."""
    if language == settings.LANGUAGE_CODE:
        return {}
    path = settings.LOCALE_PATHS[0] / language / "LC_MESSAGES" / "djangojs.mo"
    with path.open("rb") as file:
        catalogue: Mapping[str | tuple[str, int], str] = GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    words: Words = {key: text for key, text in catalogue.items() if isinstance(key, str) and key}
    plurals = {key[0] for key in catalogue if isinstance(key, tuple)}
    return words | {key: [catalogue[key, 0], catalogue[key, 1]] for key in plurals}


def supported(tag: str | None) -> str | None:
    """The language of the pages that a BCP 47 tag asks for; None when they do not speak it."""
    code = (tag or "").split("-")[0].lower()
    return code if code in dict(settings.LANGUAGES) else None


def remember(response: HttpResponseBase, language: str) -> None:
    """Have a browser ask for its next pages in this language."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )
