"""The one form of every refusal: {"error": {"code", "message", "request_id"}}."""

from typing import Any

import structlog
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from agents.errors import Refused
from channels_app.api.rate_headers import rate_headers
from channels_app.problems import EXPECTED, INTERNAL, NO_TOKEN, Problem, explain
from gateway.ids import new_id

log = structlog.get_logger(__name__)

STATUS_OF_CODE = {
    "invalid": 400,
    "unauthorized": 401,
    "no_licence": 403,
    "licence_expired": 403,
    "not_included": 403,
    "forbidden": 403,
    "not_found": 404,
    "already_decided": 409,
    "busy": 409,
    "changed": 409,
    "conflict": 409,
    "too_many": 409,
    "expired": 410,
    "gone": 410,
    "too_large": 413,
    "queue_full": 429,
    "rate_limited": 429,
    "budget_exhausted": 429,
    "internal": 500,
    "not_available": 501,
    "unavailable": 503,
    "workspace_failed": 503,
    "workspace_unreachable": 503,
}
# An agent's failure of any other code lies behind the gateway.
BEHIND_US = 502
CODE_OF_STATUS = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
}
_DJANGOS: tuple[tuple[type[Exception], Problem], ...] = (
    (Http404, Problem("not_found", "There is nothing here.")),
    (PermissionDenied, Problem("forbidden", "You may not do this.")),
    (RequestDataTooBig, Problem("too_large", "The request is too large.")),
    (SuspiciousOperation, Problem("invalid", "The request can't be understood.")),
    (BadRequest, Problem("invalid", "The request can't be understood.")),
)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Django REST framework's hook: the answer to whatever a view raised; what nobody foresaw is logged and told as 500."""
    set_rollback()
    request: HttpRequest = context["request"]
    status, problem = describe(error)
    if problem is INTERNAL:
        log.error("request_failed", path=request.path, exc_info=error)
    response = Response(body(problem, request), status=status)
    authenticate = getattr(error, "auth_header", None)
    if authenticate:
        response["WWW-Authenticate"] = authenticate
    if problem.retry_after_s is not None:
        response["Retry-After"] = str(problem.retry_after_s)
    if isinstance(error, Refused):
        for name, value in rate_headers(error.windows).items():
            response[name] = value
    return response


def describe(error: Exception) -> tuple[int, Problem]:
    """The HTTP status of an error, and how it is told."""
    if isinstance(error, EXPECTED):
        problem = explain(error)
        return STATUS_OF_CODE.get(problem.code, BEHIND_US), problem
    if isinstance(error, exceptions.NotAuthenticated):
        return error.status_code, NO_TOKEN
    if isinstance(error, exceptions.APIException):
        code = CODE_OF_STATUS.get(error.status_code, "invalid")
        wait = getattr(error, "wait", None)
        return error.status_code, Problem(code, _sentence(error.detail), None if wait is None else int(wait))
    for kind, problem in _DJANGOS:
        if isinstance(error, kind):
            return next(status for status, code in CODE_OF_STATUS.items() if code == problem.code), problem
    return STATUS_OF_CODE[INTERNAL.code], INTERNAL


def body(problem: Problem, request: HttpRequest) -> dict[str, Any]:
    """The answer's JSON; the request's id finds it in the logs."""
    request_id = request.META.get("REQUEST_ID") or new_id()
    return {"error": {"code": problem.code, "message": problem.message, "request_id": request_id}}


def error_response(error: Exception, request: HttpRequest) -> JsonResponse:
    """The same for a plain Django view, of an error that is expected there."""
    status, problem = describe(error)
    response = JsonResponse(body(problem, request), status=status)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _sentence(detail: Any) -> str:
    """The first of a serializer's complaints, with its field."""
    if isinstance(detail, dict):
        field, complaint = next(iter(detail.items()))
        said = _sentence(complaint)
        return said if field == "non_field_errors" else f"{field}: {said}"
    if isinstance(detail, list):
        return _sentence(detail[0]) if detail else "The request is not valid."
    return str(detail)
