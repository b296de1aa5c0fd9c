"""The OpenAPI document of /api/v1/: drf-spectacular reads the views, and what all operations share is added here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast

from django.test import RequestFactory
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiViewExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_mock_request
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.views import APIView

from channels_app.api import shapes
from channels_app.protocol.events import EVENT_FRAMES
from channels_app.protocol.schema import document as protocol

PREFIX = "/api/v1/"
JSON = dict[str, Any]
Endpoint = tuple[str, str, str, Callable[..., Any]]
Handler = TypeVar("Handler", bound=Callable[..., Any])

# Every refusal by its status; `described` names those that not all operations of its form have.
REFUSALS = {
    400: "The request is not of this form.",
    401: "No token or session, or one that is no good any more.",
    403: "Not allowed: no licence, an expired one, one that does not include this, or a missing CSRF token.",
    404: "There is no such thing, or it is another user's.",
    406: "No form of the answer that the client accepts.",
    409: "It does not go together with what is there.",
    410: "It is not there any more.",
    413: "The body is larger than what is read here: 1 MiB, or a file's 3 MB.",
    415: "The body is not of the media type that is read here.",
    429: "Too much, or too fast.",
    501: "The user's workspace has no such thing.",
    502: "A service behind the gateway failed.",
    503: "A database or the user's workspace is away.",
}
_WAIT = {"description": "Seconds after which another try may help.", "schema": {"type": "integer", "minimum": 0}}
# Source: draft-ietf-httpapi-ratelimit-headers-10.
_RATES: dict[str, JSON] = {
    "RateLimit": {"description": 'What is left: `"minute";r=3;t=12`.', "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": 'The limits: `"minute";q=10;w=60`.', "schema": {"type": "string"}},
}
ERROR: JSON = {
    "type": "object",
    "description": "Every refusal. The codes are told in docs/protocol.md; `request_id` is the answer's X-Request-Id.",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "pattern": "^[a-z_]+$"},
                "message": {"type": "string", "minLength": 1},
                "request_id": {"type": "string", "format": "uuid"},
            },
            "required": ["code", "message", "request_id"],
            "additionalProperties": False,
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}
_TOLD = "x-refusals"


@dataclass(frozen=True, slots=True)
class Counted:
    """An answer of this form, which tells how far the windows of messages are filled."""

    shape: Any


def described(
    name: str, answers: Mapping[Any, Any], *, body: Any = None, query: Any = None, refusals: Iterable[int] = ()
) -> Callable[[Handler], Handler]:
    """Describe a view's method: the operation's name, its answers by status, the model of its body and of its query.

    An answer is a model, None for an empty one, or Counted.
    `refusals` are the statuses of REFUSALS that it has beside those that follow from its form.
    """
    forms = {status: answer.shape if isinstance(answer, Counted) else answer for status, answer in answers.items()}
    counted = [status for status, answer in answers.items() if isinstance(answer, Counted)]
    decorator: Callable[[Handler], Handler] = extend_schema(
        operation_id=name,
        summary=name.replace("_", " ").capitalize(),
        request=body,
        responses=forms or {204: None},
        parameters=[*([query] if query is not None else []), *_rate_fields(counted)] or None,
        extensions={_TOLD: {"statuses": list(refusals), "always": not answers}},
    )
    return decorator


def _rate_fields(statuses: list[int]) -> list[OpenApiParameter]:
    if not statuses:
        return []
    return [
        OpenApiParameter(name, str, OpenApiParameter.HEADER, description=field["description"], response=statuses)
        for name, field in _RATES.items()
    ]


@cache
def document() -> JSON:
    """The whole document; it is the same for everybody."""
    made: JSON = SchemaGenerator().get_schema(request=None, public=True)
    return made


def of_the_api(endpoints: list[Endpoint]) -> list[Endpoint]:
    """drf-spectacular's hook before: the endpoints under /api/v1/, with the stream of events, which is a plain view."""
    from channels_app.api.stream import EventsShape  # noqa: PLC0415 - it is described by `described` from here

    path = f"{PREFIX}turns/%s/events"
    stream: Endpoint = (path % "{turn}", path % "<str:turn>", "GET", EventsShape.as_view())
    return sorted([each for each in endpoints if each[0].startswith(PREFIX)] + [stream], key=lambda each: each[0])


def request_of(method: str, path: str, view: APIView, original: Any) -> Request:  # noqa: PLR0917 - the hook's form
    """drf-spectacular's hook for the request that a view is looked at with: SessionView asks for its method early."""
    view.request = getattr(RequestFactory(), method.lower())(path)
    made: Request = build_mock_request(method, path, view, original)
    return made


def completed(result: JSON, **_generator: Any) -> JSON:
    """drf-spectacular's hook after: the refusals of every operation, in the one form."""
    for path, operations in result["paths"].items():
        for operation in operations.values():
            told = operation.pop(_TOLD, {"statuses": [], "always": False})
            if told["always"]:
                operation["responses"] = {}
            for status in sorted({*_statuses(path, operation), *told["statuses"]}):
                operation["responses"][str(status)] = _refusal(status)
            for answer in operation["responses"].values():
                answer.setdefault("headers", {})["X-Request-Id"] = {"schema": {"type": "string", "format": "uuid"}}
    result["components"]["schemas"] |= {"Error": ERROR, **_events()}
    return result


def _statuses(path: str, operation: JSON) -> set[int]:
    """The refusals that follow from an operation's form."""
    statuses = {406, 503}
    if operation.get("security"):
        statuses |= {401, 403}
    if "{" in path:
        statuses.add(404)
    if "requestBody" in operation:
        statuses |= {400, 413, 415}
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        statuses.add(400)
    return statuses


def _refusal(status: int) -> JSON:
    headers: JSON = {}
    if status in {429, 503}:
        headers["Retry-After"] = _WAIT
    if status == 429:
        headers |= _RATES
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"const": "Bearer"}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": REFUSALS[status], "headers": headers, "content": content}


def _events() -> JSON:
    """The events of a turn, as in docs/protocol.schema.json; TurnEvent is any of them."""
    definitions = protocol()["$defs"]
    found = {f"{model.__name__}Event": definitions[model.__name__] for model in EVENT_FRAMES}
    choices = [{"$ref": f"#/components/schemas/{name}"} for name in found]
    return found | {"TurnEvent": {"oneOf": choices}}


def body_of(model: type[BaseModel], *, optional: str, example: JSON) -> JSON:
    """A request body in the form of `model`, whose field `optional` may be left out."""
    schema = model.model_json_schema() | {"examples": [example]}
    schema["required"] = [name for name in schema["required"] if name != optional]
    return {"application/json": schema}


class _DevelopmentToken(OpenApiViewExtension):
    target_class = "accounts.views.TokenView"

    def view_replacement(self) -> type[APIView]:
        """The view with its description, which accounts, a layer below, can't give it."""
        view: Any = self.target
        shown = described("issue_token", {200: shapes.Token}, body=view.Form, refusals=(404,))
        return cast("type[APIView]", extend_schema_view(post=shown)(type("TokenView", (view,), {})))


class _Bearer(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> JSON:  # noqa: ARG002 - the interface's
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class _BrowserSession(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.BrowserSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> JSON:  # noqa: ARG002 - the interface's
        told = "The page's session. Anything but GET needs the cookie csrftoken's value in the header X-CSRFToken."
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": told}
