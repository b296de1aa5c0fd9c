"""The user's preferences, which their workspace keeps."""

from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from pydantic import ValidationError
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.languages import choose_language
from accounts.licences import active_licence
from agents.preferences import Preferences, change_preferences, read_preferences
from channels_app.api.base import ApiView, user_of
from channels_app.api.openapi import described
from channels_app.api.shapes import AllPreferences
from gateway.languages import remember, supported


class PreferencesView(ApiView):
    """The user's preferences."""

    @described("get_preferences", {200: AllPreferences}, refusals=(503,))
    def get(self, request: Request) -> Response:
        """All of them, null where there is no wish; starts the workspace if need be."""
        return _answer(async_to_sync(_read)(user_of(request)), chosen=settings.LANGUAGE_COOKIE_NAME in request.COOKIES)

    @described("change_preferences", {200: AllPreferences}, body=Preferences, refusals=(501, 503))
    def patch(self, request: Request) -> Response:
        """Change those that are named; null clears one. Answers with all of them."""
        return _chosen(user_of(request), _body(request.data))

    @described("replace_preferences", {200: AllPreferences}, body=Preferences, refusals=(501, 503))
    def put(self, request: Request) -> Response:
        """Change all of them: those that are not named are cleared."""
        wanted = _body(request.data)
        return _chosen(user_of(request), Preferences(**wanted.model_dump()))


def _chosen(user_id: str, values: Preferences) -> Response:
    """Chat apps, too, speak the language that is chosen."""
    response = _answer(async_to_sync(_change)(user_id, values))
    if language := supported(values.language):
        async_to_sync(choose_language)(user_id, language)
    return response


def _answer(preferences: dict[str, Any], *, chosen: bool = False) -> Response:
    """The preferences, whose language the pages speak from now on, unless it was `chosen` for this browser."""
    response = Response(preferences)
    language = supported(preferences["language"])
    if language and not chosen:
        remember(response, language)
    return response


async def _read(user_id: str) -> dict[str, Any]:
    return (await read_preferences(await active_licence(user_id))).model_dump(mode="json")


async def _change(user_id: str, values: Preferences) -> dict[str, Any]:
    return (await change_preferences(await active_licence(user_id), values)).model_dump(mode="json")


def _body(data: Any) -> Preferences:
    """The preferences of a request. Raises rest_framework's ValidationError, with the first complaint."""
    try:
        return Preferences.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise exceptions.ValidationError({where or "non_field_errors": [first["msg"]]}) from error
