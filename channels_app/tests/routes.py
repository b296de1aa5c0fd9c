"""Every route of the URL configuration, found by walking it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

METHODS = ("get", "post", "put", "patch", "delete")
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")


@dataclass(frozen=True, slots=True)
class Route:
    """A route as the configuration writes it, and the methods of its view ((), when only the view knows them)."""

    pattern: str
    methods: tuple[str, ...]

    def path(self, **values: str) -> str:
        """An address of the route; a parameter that `values` does not name is 1."""
        filled = PARAMETER.sub(lambda found: values.get(found[1] or found[2], "1"), self.pattern)
        return "/" + re.sub(r"[\^$]", "", filled)


def routes() -> list[Route]:
    """All of them."""
    return [Route(pattern, _methods(view)) for pattern, view in _walk(get_resolver().url_patterns, "")]


def _walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for each in patterns:
        pattern = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _walk(each.url_patterns, pattern)
        elif isinstance(each, URLPattern):
            yield pattern, each.callback


def _methods(view: Any) -> tuple[str, ...]:
    cls = getattr(view, "cls", None)
    if cls is None or not issubclass(cls, APIView):
        return ()
    return tuple(method.upper() for method in METHODS if hasattr(cls, method))
