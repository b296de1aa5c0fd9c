"""Who asks, and whether they may: client certificates, bearer tokens of service accounts, and RBAC.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.clock import Clock
from provisioning.tests.cluster.kinds import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Kind,
    Object,
)
from provisioning.tests.cluster.requests import Request
from provisioning.tests.cluster.store import Store, meta

# May do everything, as the group system:masters may.
ADMIN = "kubernetes-admin"
MASTERS = "system:masters"


@dataclass(frozen=True)
class _Token:
    user: str
    account_uid: str
    expires_at: float


class Identities:
    """Tokens and their users."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.admin_token = secrets.token_urlsafe(24)
        self._tokens: dict[str, _Token] = {}

    def issue(self, namespace: str, account: str, *, lasting_s: float = 3600.0) -> str:
        """A token of a service account. Raises Refused 404."""
        tree = self._store.get(SERVICE_ACCOUNTS, namespace, account)
        token = secrets.token_urlsafe(24)
        user = f"system:serviceaccount:{namespace}:{account}"
        self._tokens[token] = _Token(user, meta(tree)["uid"], self._clock.now() + lasting_s)
        return token

    def user_of(self, authorization: str, subject: tuple[str, list[str]] = ("", [])) -> str:
        """Raises Refused 401 for a missing, unknown or expired token, and one whose account is gone; a certificate goes first."""
        name, groups = subject
        if name:
            return ADMIN if MASTERS in groups else name
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and secrets.compare_digest(token, self.admin_token):
            return ADMIN
        found = self._tokens.get(token)
        if found is None or found.expires_at <= self._clock.now() or not self._store.owner_is_there(found.account_uid):
            raise statuses.unauthorized()
        return found.user


class Authorizer:
    """RBAC over the roles and bindings in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self, request: Request) -> None:
        """Raises Refused 403 in the real server's words."""
        if request.user == ADMIN or any(_allows(rule, request) for rule in self._rules(request)):
            return
        target = request.target
        resource = f"{target.kind.plural}/{target.subresource}" if target.subresource else target.kind.plural
        where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
        why = f'User "{request.user}" cannot {request.verb} resource "{resource}" in API group "{target.kind.group}" {where}'
        raise statuses.forbidden(target.kind, target.name, why)

    def _rules(self, request: Request) -> Iterator[Object]:
        for binding in self._store.listed(CLUSTER_ROLE_BINDINGS):
            if _binds(binding, request.user):
                yield from self._rules_of(CLUSTER_ROLES, "", binding)
        namespace = request.target.namespace
        if not namespace:
            return
        for binding in self._store.listed(ROLE_BINDINGS, namespace):
            if _binds(binding, request.user):
                of_cluster = binding["roleRef"]["kind"] == "ClusterRole"
                yield from self._rules_of(
                    CLUSTER_ROLES if of_cluster else ROLES, "" if of_cluster else namespace, binding
                )

    def _rules_of(self, kind: Kind, namespace: str, binding: Object) -> list[Object]:
        role = self._store.find(kind, namespace, binding["roleRef"]["name"])
        return list(role.get("rules") or []) if role else []


def _binds(binding: Object, user: str) -> bool:
    namespace = meta(binding).get("namespace", "")
    for subject in binding.get("subjects") or []:
        if subject["kind"] == "ServiceAccount":
            if user == f"system:serviceaccount:{subject.get('namespace', namespace)}:{subject['name']}":
                return True
        elif subject["name"] in {"User": [user], "Group": groups_of(user)}[subject["kind"]]:
            return True
    return False


def groups_of(user: str) -> list[str]:
    """The groups of a user: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects"""
    if user == ADMIN:
        return [MASTERS, "system:authenticated"]
    if not user.startswith("system:serviceaccount:"):
        return ["system:authenticated"]
    namespace = user.split(":")[2]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]


def _allows(rule: Object, request: Request) -> bool:
    target = request.target
    resource = f"{target.kind.plural}/{target.subresource}" if target.subresource else target.kind.plural
    named = rule.get("resourceNames")
    return (
        not {"*", request.verb}.isdisjoint(rule.get("verbs") or [])
        and not {"*", target.kind.group}.isdisjoint(rule.get("apiGroups") or [])
        and not {"*", resource, f"*/{target.subresource}"}.isdisjoint(rule.get("resources") or [])
        # A request without a name (a list, a creation) is never allowed by a rule for names.
        and (not named or target.name in named)
    )
