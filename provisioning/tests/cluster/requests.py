"""A request to the API, parsed: which object, which verb.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris and …/access-authn-authz/authorization/.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson
import yaml

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.kinds import NAMESPACES, Kind, kind_at

_WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True)
class Target:
    """What a path names: a kind, and perhaps a namespace, an object and a part of it."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True)
class Request:
    """One request to one target. `verb` is what RBAC calls it."""

    verb: str
    target: Target
    query: Mapping[str, str]
    content_type: str
    body: bytes
    agent: str
    user: str = ""

    def flag(self, name: str) -> bool:
        return self.query.get(name, "") in {"true", "1"}

    def number(self, name: str) -> int:
        """Raises Refused 400 when it is none; 0 when it is left out."""
        text = self.query.get(name, "") or "0"
        if not text.isascii() or not text.isdecimal():
            raise statuses.bad_request(f'strconv.ParseUint: parsing "{text}": invalid syntax')
        return int(text)

    @property
    def dry_run(self) -> bool:
        """Raises Refused 400 for another value than All."""
        given = self.query.get("dryRun", "")
        if given not in {"", "All"}:
            raise statuses.bad_request(f'dryRun: Unsupported value: "{given}": supported values: "All"')
        return bool(given)

    @property
    def manager(self) -> str:
        """The field manager of a write that names none is the user agent up to its first slash."""
        return self.query.get("fieldManager") or self.agent.split("/")[0] or "unknown"

    def tree(self) -> Any:
        """The body, JSON or (as apply sends it) YAML. Raises Refused 400 or 415."""
        if self.content_type in {"", "application/json"} or self.content_type.endswith("+json"):
            try:
                return orjson.loads(self.body)
            except orjson.JSONDecodeError as error:
                raise statuses.bad_request(f"error decoding the body: {error}") from error
        if self.content_type in {"application/yaml", "application/apply-patch+yaml"}:
            try:
                return _read_yaml(self.body)
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise statuses.bad_request("error decoding YAML: error converting YAML to JSON") from error
        raise statuses.unsupported_media_type("application/json, application/yaml, application/vnd.kubernetes.protobuf")


def _read_yaml(body: bytes) -> Any:
    """YAML, of which JSON is a part that is read some fifty times as fast: it is what the client sends."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return yaml.safe_load(body)


def parse_query(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))


def target_of(path: str) -> Target | None:
    """What the path names, None when nothing that this server has."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in NAMESPACES.subresources:
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        return None
    kind = kind_at(group, version, rest[0])
    return _checked(kind, namespace, rest[1:]) if kind else None


def _checked(kind: Kind, namespace: str, rest: list[str]) -> Target | None:
    name, subresource = (*rest, "", "")[:2]
    if subresource and subresource not in kind.subresources:
        return None
    if namespace and not kind.namespaced:
        return None
    if name and kind.namespaced and not namespace:
        return None
    return Target(kind, namespace, name, subresource)


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    """What RBAC calls the request. Raises Refused 405."""
    if method in _WRITES:
        # Only a create has no name in its path, but for creations within an object (a token, an eviction).
        if bool(target.name) != (method != "POST" or target.subresource in {"token", "eviction"}):
            raise statuses.method_not_allowed()
        return _WRITES[method]
    if method == "GET":
        if target.name:
            return "get"
        return "watch" if query.get("watch", "") in {"true", "1"} else "list"
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    raise statuses.method_not_allowed()
