"""Refusals as the API words them: a Status object with code, reason and details.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ and apimachinery's pkg/api/errors.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from provisioning.tests.cluster.kinds import Kind, Object


@dataclass
class Refused(Exception):
    """The server's answer to a request that it doesn't carry out."""

    code: int
    reason: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    retry_after_s: int | None = None

    def __str__(self) -> str:
        return self.message

    def status(self) -> Object:
        """The Status object of the answer's body."""
        details = dict(self.details)
        if self.retry_after_s is not None:
            details["retryAfterSeconds"] = self.retry_after_s
        tree: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            tree["reason"] = self.reason
        if details:
            tree["details"] = details
        return tree | {"code": self.code}


def _details(kind: Kind, name: str, **more: Any) -> dict[str, Any]:
    return {"name": name} | ({"group": kind.group} if kind.group else {}) | {"kind": kind.plural} | more


def not_found(kind: Kind, name: str) -> Refused:
    return Refused(404, "NotFound", f'{kind.resource} "{name}" not found', _details(kind, name))


def no_such_path() -> Refused:
    return Refused(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(kind: Kind, name: str) -> Refused:
    return Refused(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> Refused:
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return Refused(409, "Conflict", message, _details(kind, name))


def modified(kind: Kind, name: str) -> Refused:
    """An update that carries an older resourceVersion."""
    return conflict(
        kind, name, "the object has been modified; please apply your changes to the latest version and try again"
    )


def manager_conflict(conflicts: Iterable[tuple[str, str]]) -> Refused:
    """Server-side apply of fields that others own: (who, field) each."""
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path} for who, path in conflicts
    ]
    listed = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    noun = "conflict" if len(causes) == 1 else "conflicts"
    return Refused(409, "Conflict", f"Apply failed with {len(causes)} {noun}: {listed}", {"causes": causes})


def invalid(kind: Kind, name: str, problems: Iterable[tuple[str, str]]) -> Refused:
    """An object that validation refuses: (field, what is wrong) each."""
    found = list(problems)
    listed = [f"{path}: {problem}" for path, problem in found]
    message = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    causes = [{"reason": _cause_reason(problem), "message": problem, "field": path} for path, problem in found]
    details = {"name": name} | ({"group": kind.group} if kind.group else {}) | {"kind": kind.name, "causes": causes}
    return Refused(
        422,
        "Invalid",
        f'{kind.name + ("." + kind.group if kind.group else "")} "{name}" is invalid: {message}',
        details,
    )


def _cause_reason(problem: str) -> str:
    for start, reason in (
        ("Required value", "FieldValueRequired"),
        ("Forbidden", "FieldValueForbidden"),
        ("Not found", "FieldValueNotFound"),
        ("Duplicate value", "FieldValueDuplicate"),
        ("Unsupported value", "FieldValueNotSupported"),
    ):
        if problem.startswith(start):
            return reason
    return "FieldValueInvalid"


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def forbidden(kind: Kind, name: str, why: str) -> Refused:
    return Refused(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', _details(kind, name))


def unauthorized() -> Refused:
    return Refused(401, "Unauthorized", "Unauthorized")


def expired(version: int, floor: int) -> Refused:
    return Refused(410, "Expired", f"too old resource version: {version} ({floor})")


def expired_continue() -> Refused:
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter."
    )
    return Refused(410, "Expired", message)


def unsupported_media_type(given: str) -> Refused:
    message = f"the body of the request was in an unknown format - accepted media types include: {given}"
    return Refused(415, "UnsupportedMediaType", message)


def method_not_allowed() -> Refused:
    return Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def too_many_requests(retry_after_s: int) -> Refused:
    message = "the server has received too many requests and has asked us to try again later"
    return Refused(429, "TooManyRequests", message, {}, retry_after_s)


def internal_error(why: str) -> Refused:
    return Refused(500, "InternalError", f"Internal error occurred: {why}", {"causes": [{"message": why}]})


def success(kind: Kind, name: str, uid: str) -> Object:
    """What a deletion that is complete answers."""
    tree = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return tree | {"details": _details(kind, name, uid=uid)}
