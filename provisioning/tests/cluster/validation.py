"""What the server refuses in an object itself: unknown fields, wrong types, names, and what may not change.

Types and required fields are those of the client's own typed models, which are made from the server's OpenAPI.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pydantic
from kubernetes.aio import client as models

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.forms import dns_label, dns_subdomain, metadata_problems, wrong_quantities
from provisioning.tests.cluster.kinds import Kind, Object
from provisioning.tests.cluster.requests import Request
from provisioning.tests.cluster.rules import Problem, problems_of, problems_of_change

# Kinds whose names must be DNS labels; those of RBAC may be any segment of a path.
_FORMS = dict.fromkeys(("Service", "Namespace"), "lowercase RFC 1123 label")


@cache
def model_of(kind: Kind) -> type[pydantic.BaseModel]:
    """The client's typed model of a kind."""
    name = "CoreV1Event" if kind.name == "Event" else f"{kind.version.capitalize()}{kind.name}"
    model: type[pydantic.BaseModel] = getattr(models, name)
    return model


def decoded(request: Request) -> Object:
    """The body as an object of the target's kind. Raises Refused 400, 415 and, for an apply with unknown fields, 500."""
    tree = request.tree()
    if not isinstance(tree, dict) or not isinstance(tree.setdefault("metadata", {}) or {}, dict):
        raise statuses.bad_request("the object provided is unrecognized (must be of type Object)")
    if request.target.subresource in {"scale", "token", "eviction"}:
        return tree
    kind = request.target.kind
    complaints = _complaints(kind, tree)
    unknown = [path for path, what in complaints if what == "extra_forbidden"]
    wrong = [
        f"json: cannot unmarshal {path} ({what})"
        for path, what in complaints
        if what not in {"extra_forbidden", "missing"}
    ]
    wrong.extend(wrong_quantities(tree))
    if wrong:
        what = f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: {wrong[0]}'
        raise statuses.bad_request(what)
    if unknown:
        _refuse_or_drop(request, tree, unknown)
    return tree


def _refuse_or_drop(request: Request, tree: Object, unknown: list[str]) -> None:
    """Unknown fields: an apply never takes them; another write refuses them if asked to, and drops them otherwise."""
    kind = request.target.kind
    if request.content_type == "application/apply-patch+yaml":
        # The real server's answer to this mistake of the client's is a 500 without a reason.
        name = f"{request.target.namespace}/{request.target.name}; {kind.api_version}, Kind={kind.name}"
        message = f"failed to create typed patch object ({name}): .{unknown[0]}: field not declared in schema"
        raise statuses.Refused(500, "", message)
    if request.query.get("fieldValidation") == "Strict":
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise statuses.bad_request(f"strict decoding error: {listed}")
    for path in unknown:
        _remove(tree, path)


def _complaints(kind: Kind, tree: Object) -> list[tuple[str, str]]:
    """What the typed model has against a tree: (path, kind of complaint)."""
    try:
        model_of(kind).model_validate(tree, by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        return [(_path(each["loc"]), each["type"]) for each in error.errors(include_url=False, include_input=False)]
    return []


def _path(steps: tuple[int | str, ...]) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def _remove(tree: Any, path: str) -> None:
    *above, last = path.replace("[", ".").replace("]", "").split(".")
    for step in above:
        tree = tree[int(step)] if isinstance(tree, list) else tree.get(step, {})
    tree.pop(last, None)


def check_new(kind: Kind, tree: Object) -> None:
    """Raises Refused 422 with everything that is wrong with a new object."""
    _check(kind, tree, list(_problems(kind, tree)))


def check_change(kind: Kind, live: Object, tree: Object, subresource: str) -> None:
    """Raises Refused 422 with everything that is wrong with a change."""
    problems = list(_problems(kind, tree))
    problems.extend(problems_of_change(kind, live, tree, resize=subresource == "resize"))
    _check(kind, tree, problems)


def _check(kind: Kind, tree: Object, problems: list[Problem]) -> None:
    if problems:
        raise statuses.invalid(kind, tree["metadata"].get("name", ""), problems)


def _problems(kind: Kind, tree: Object) -> Iterator[Problem]:
    complaints = _complaints(kind, tree)
    if any(what != "missing" for _, what in complaints):
        # A merge has made a tree that is no object of this kind.
        yield from ((path, f"Invalid value: {what}") for path, what in complaints)
        return
    yield from ((path, "Required value") for path, _ in complaints)
    yield from _name_problems(kind, tree["metadata"].get("name", ""))
    yield from metadata_problems(tree["metadata"])
    if not complaints:
        yield from problems_of(kind, tree)


def _name_problems(kind: Kind, name: str) -> Iterator[Problem]:
    if not name:
        yield "metadata.name", "Required value: name or generateName is required"
    elif not _is_name(kind, name):
        form = _FORMS.get(kind.name, "lowercase RFC 1123 subdomain")
        why = f"a {form} must consist of lower case alphanumeric characters, '-' or '.'"
        yield "metadata.name", f'Invalid value: "{name}": {why}'


def _is_name(kind: Kind, name: str) -> bool:
    if kind.group == "rbac.authorization.k8s.io":
        return name not in {".", ".."} and "/" not in name and "%" not in name
    return dns_label(name) if kind.name in _FORMS else dns_subdomain(name)
