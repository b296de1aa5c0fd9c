"""ValidatingAdmissionPolicy: the expressions of its conditions and validations, run by an implementation of CEL.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/. Without parameters, variables,
message expressions and the authorizer; controllers' own writes are not asked about.
"""

from typing import Any

from provisioning.tests.cluster.kinds import NAMESPACES, Object, kind_called
from provisioning.tests.cluster.rbac import groups_of
from provisioning.tests.cluster.requests import Request
from provisioning.tests.cluster.selectors import matches_label_selector
from provisioning.tests.cluster.statuses import Refused, forbidden
from provisioning.tests.cluster.store import Store, meta

_POLICIES = kind_called("validatingadmissionpolicies")
_BINDINGS = kind_called("validatingadmissionpolicybindings")
_OPERATIONS = {"create": "CREATE", "update": "UPDATE", "patch": "UPDATE", "delete": "DELETE"}


def check_policies(store: Store, request: Request, before: Object | None, after: Object | None) -> None:
    """Raises Refused 422 in the real server's words when a bound policy denies the write."""
    operation = "CREATE" if before is None else _OPERATIONS[request.verb]
    for binding in store.listed(_BINDINGS):
        policy = store.find(_POLICIES, "", binding["spec"]["policyName"])
        if policy and _concerns(store, binding, request) and _matches(policy, request, operation):
            variables = _variables(request, operation, before, after)
            message = _denial(policy["spec"], variables)
            if message and "Deny" in binding["spec"]["validationActions"]:
                raise _denied(request, policy, binding, message)


def _concerns(store: Store, binding: Object, request: Request) -> bool:
    selector = (binding["spec"].get("matchResources") or {}).get("namespaceSelector")
    if not selector or not request.target.namespace:
        return True
    namespace = store.find(NAMESPACES, "", request.target.namespace)
    return namespace is not None and matches_label_selector(selector, meta(namespace).get("labels", {}))


def _matches(policy: Object, request: Request, operation: str) -> bool:
    kind, target = request.target.kind, request.target
    resource = f"{kind.plural}/{target.subresource}" if target.subresource else kind.plural
    for rule in policy["spec"]["matchConstraints"]["resourceRules"]:
        fits = (
            not {"*", kind.group}.isdisjoint(rule["apiGroups"])
            and not {"*", kind.version}.isdisjoint(rule["apiVersions"])
            and not {"*", operation}.isdisjoint(rule["operations"])
            and not {"*", "*/*", resource}.isdisjoint(rule["resources"])
        )
        if fits:
            return True
    return False


def _denial(spec: Object, variables: dict[str, Any]) -> str:
    """Why the policy denies; empty when it doesn't. An expression that fails denies too, by failurePolicy Fail."""
    import cel  # brings the packages of its command line along, which takes half a second

    fails_open = spec.get("failurePolicy") == "Ignore"
    try:
        if not all(cel.evaluate(each["expression"], variables) for each in spec.get("matchConditions") or []):
            return ""
        for each in spec["validations"]:
            if not cel.evaluate(each["expression"], variables):
                return str(each.get("message") or f"failed expression: {each['expression']}")
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        return "" if fails_open else f"expression resulted in error: {error}"
    return ""


def _variables(request: Request, operation: str, before: Object | None, after: Object | None) -> dict[str, Any]:
    target = request.target
    asked = {
        "name": target.name,
        "namespace": target.namespace,
        "operation": operation,
        "subResource": target.subresource,
        "resource": {"group": target.kind.group, "version": target.kind.version, "resource": target.kind.plural},
        "userInfo": {"username": request.user, "groups": groups_of(request.user)},
        "dryRun": request.dry_run,
    }
    return {"request": asked, "object": after, "oldObject": before}


def _denied(request: Request, policy: Object, binding: Object, message: str) -> Refused:
    why = f"ValidatingAdmissionPolicy '{meta(policy)['name']}' with binding '{meta(binding)['name']}' denied request: {message}"
    refused = forbidden(request.target.kind, request.target.name, why)
    # The words are those of Forbidden, the reason is the validation's, which is Invalid unless it says otherwise.
    refused.code, refused.reason = 422, "Invalid"
    refused.details["causes"] = [{"message": why}]
    return refused
