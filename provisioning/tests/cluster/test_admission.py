"""What a cluster's owner allows: Pod Security, quotas, limits, roles."""

from typing import Any

import pytest

from provisioning.tests.cluster import Cluster, Plan, Trouble
from provisioning.tests.cluster.controllers.control import condition_of
from provisioning.tests.cluster.examples import claim, config_map, deployment
from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.wire import CLAIMS, CONFIG_MAPS, DEPLOYMENTS, NAMESPACE, PODS, Wire

GROUP = "rbac.authorization.k8s.io"
RBAC = f"/apis/{GROUP}/v1/namespaces/workspaces"
TOKEN_REQUEST = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
ENFORCE = "pod-security.kubernetes.io/enforce"


def secured(tree: Object) -> Object:
    """The Deployment as `restricted` wants it."""
    spec = tree["spec"]["template"]["spec"]
    spec["securityContext"] = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in (*spec["initContainers"], *spec["containers"]):
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return tree


def with_resources(tree: Object, **resources: Any) -> Object:
    spec = tree["spec"]["template"]["spec"]
    for container in (*spec["initContainers"], *spec["containers"]):
        container["resources"] = dict(resources)
    return tree


def quota(**hard: str) -> Object:
    named = {name.replace("_", "."): amount for name, amount in hard.items()}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all"}, "spec": {"hard": named}}


def failure_of(cluster: Cluster, name: str) -> str:
    found = condition_of(cluster.get("deployments", name), "ReplicaFailure")
    return str(found["message"]) if found else ""


def test_restricted_takes_what_is_restricted(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    wire.patch(NAMESPACE, {"metadata": {"labels": {ENFORCE: "restricted"}}})
    wire.send("POST", DEPLOYMENTS, secured(deployment()))

    assert failure_of(cluster, "web") == ""
    assert len(cluster.pods_of("web")) == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda spec: spec.update(hostNetwork=True), "host namespaces (hostNetwork=true)"),
        (lambda spec: spec.pop("securityContext"), "runAsNonRoot != true"),
        (lambda spec: spec["securityContext"].pop("seccompProfile"), "seccompProfile (pod or containers"),
        (lambda spec: spec["securityContext"].update(runAsUser=0), "runAsUser=0 (pod must not set runAsUser=0)"),
        (
            lambda spec: spec["containers"][0].pop("securityContext"),
            'unrestricted capabilities (container "server" must set',
        ),
        (
            lambda spec: spec["containers"][0]["securityContext"].update(privileged=True),
            'privileged (container "server" must not set securityContext.privileged=true)',
        ),
        (
            lambda spec: spec["initContainers"][0]["securityContext"].update(allowPrivilegeEscalation=True),
            'allowPrivilegeEscalation != false (container "sidecar" must set',
        ),
        (lambda spec: spec.update(volumes=[{"name": "h", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "h")'),
        (lambda spec: spec["containers"][0]["ports"][0].update(hostPort=80), "hostPort"),
    ],
)
def test_restricted_refuses_the_pod_and_says_why(cluster: Cluster, wire: Wire, spoil: Any, words: str) -> None:
    """Source: https://kubernetes.io/docs/concepts/security/pod-security-admission/: workload objects are not refused."""
    wire.patch(NAMESPACE, {"metadata": {"labels": {ENFORCE: "restricted"}}})
    tree = secured(deployment())
    spoil(tree["spec"]["template"]["spec"])
    made = wire.send("POST", DEPLOYMENTS, tree)

    assert made.status_code == 201
    assert 'is forbidden: violates PodSecurity "restricted:latest": ' in failure_of(cluster, "web")
    assert words in failure_of(cluster, "web")


def test_a_quota_names_what_was_asked_used_and_allowed(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/, whose example has these words."""
    wire.send("POST", f"{NAMESPACE}/resourcequotas", quota(requests_storage="3Gi"))
    wire.send("POST", CLAIMS, claim("one", storage="2Gi"))
    answer = wire.send("POST", CLAIMS, claim("two", storage="2Gi"))

    assert answer.status_code == 403
    assert answer.json()["message"] == (
        'persistentvolumeclaims "two" is forbidden: exceeded quota: all, requested: requests.storage=2Gi, '
        "used: requests.storage=2Gi, limited: requests.storage=3Gi"
    )


def test_a_quota_of_memory_makes_each_container_say_what_it_wants(cluster: Cluster, wire: Wire) -> None:
    wire.send("POST", f"{NAMESPACE}/resourcequotas", quota(requests_memory="1Gi"))
    cluster.create(deployment("silent"))
    cluster.create(with_resources(deployment("small"), requests={"memory": "256Mi"}))
    cluster.create(with_resources(deployment("large"), requests={"memory": "512Mi"}))

    assert "must specify requests.memory for: sidecar,server" in failure_of(cluster, "silent")
    assert failure_of(cluster, "small") == ""
    assert "requested: requests.memory=1Gi, used: requests.memory=512Mi" in failure_of(cluster, "large")


def test_what_is_gone_counts_no_longer(cluster: Cluster, wire: Wire) -> None:
    wire.send("POST", f"{NAMESPACE}/resourcequotas", quota(configmaps="1"))
    codes = [wire.send("POST", CONFIG_MAPS, config_map(name)).status_code for name in ("a", "b")]
    wire.send("DELETE", f"{CONFIG_MAPS}/a")

    assert [*codes, wire.send("POST", CONFIG_MAPS, config_map("b")).status_code] == [201, 403, 201]


def test_a_limit_range_fills_in_and_bounds(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/concepts/policy/limit-range/"""
    limit = {
        "type": "Container",
        "default": {"memory": "512Mi"},
        "defaultRequest": {"memory": "256Mi"},
        "max": {"memory": "1Gi"},
    }
    tree = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "all"}, "spec": {"limits": [limit]}}
    wire.send("POST", f"{NAMESPACE}/limitranges", tree)
    cluster.create(deployment())
    cluster.create(with_resources(deployment("large"), limits={"memory": "2Gi"}))

    assert cluster.pods_of("web")[0]["spec"]["containers"][0]["resources"] == {
        "limits": {"memory": "512Mi"},
        "requests": {"memory": "256Mi"},
    }
    assert "maximum memory usage per Container is 1Gi, but limit is 2Gi" in failure_of(cluster, "large")


def test_a_pod_needs_its_service_account(cluster: Cluster) -> None:
    tree = deployment()
    tree["spec"]["template"]["spec"]["serviceAccountName"] = "nobody"
    cluster.create(tree)

    assert 'serviceaccount "nobody" not found' in failure_of(cluster, "web")


def account(wire: Wire, name: str, *rules: Object) -> Wire:
    """The same server, asked by a new service account with a role of these rules."""
    named = {"metadata": {"name": name}}
    made = [
        wire.send("POST", f"{NAMESPACE}/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", **named}),
        wire.send(
            "POST", f"{RBAC}/roles", {"apiVersion": f"{GROUP}/v1", "kind": "Role", **named, "rules": list(rules)}
        ),
        wire.send("POST", f"{RBAC}/rolebindings", _binding(name)),
        wire.send("POST", f"{NAMESPACE}/serviceaccounts/{name}/token", TOKEN_REQUEST),
    ]
    assert [answer.status_code for answer in made] == [201] * 4, [answer.text for answer in made]
    return wire.by(made[-1].json()["status"]["token"])


def _binding(name: str) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "workspaces"}],
    }


def rule(verbs: str, resources: str, *names: str, group: str = "apps") -> Object:
    return {
        "apiGroups": [group],
        "resources": resources.split(),
        "verbs": verbs.split(),
        **({"resourceNames": list(names)} if names else {}),
    }


@pytest.mark.any_server
def test_a_service_account_may_do_what_its_role_says(wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects"""
    for name in ("web", "other"):
        wire.send("POST", DEPLOYMENTS, deployment(name))
    sidecar = account(wire, "sidecar", rule("get patch", "deployments/scale", "web"))
    codes = [
        sidecar.send("GET", f"{DEPLOYMENTS}/web/scale").status_code,
        sidecar.patch(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 0}}).status_code,
        sidecar.patch(f"{DEPLOYMENTS}/other/scale", {"spec": {"replicas": 0}}).status_code,
        sidecar.send("GET", f"{DEPLOYMENTS}/web").status_code,
        sidecar.send("GET", PODS).status_code,
        sidecar.send("GET", PODS, watch="1").status_code,
    ]
    message = sidecar.send("GET", f"{DEPLOYMENTS}/web").json()["message"]
    sidecar.close()

    assert codes == [200, 200, 403, 403, 403, 403]
    assert message == (
        'deployments.apps "web" is forbidden: User "system:serviceaccount:workspaces:sidecar" cannot get resource '
        '"deployments" in API group "apps" in the namespace "workspaces"'
    )


def test_a_policy_narrows_what_a_role_allows(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/"""
    own = {"expression": "request.userInfo.username.endsWith(':' + request.name)", "message": "Not your own."}
    rules = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments/scale"]}
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "own-scale"}}
    spec = {
        "matchConstraints": {"resourceRules": [rules]},
        "validations": [own, {"expression": "!has(object.spec.replicas) || object.spec.replicas == 0"}],
    }
    cluster.create({**head, "kind": "ValidatingAdmissionPolicy", "spec": spec})
    bound = {"policyName": "own-scale", "validationActions": ["Deny"]}
    cluster.create({**head, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound})
    for name in ("web", "other"):
        cluster.create(deployment(name))
    own_scale = account(wire, "web", rule("get patch", "deployments/scale"))
    stop, grow = {"spec": {"replicas": 0}}, {"spec": {"replicas": 2}}
    asked = [("other", stop), ("web", grow), ("web", stop)]
    answers = [own_scale.patch(f"{DEPLOYMENTS}/{name}/scale", scale) for name, scale in asked]
    own_scale.close()

    assert [answer.status_code for answer in answers] == [422, 422, 200]
    assert answers[0].json()["message"] == (
        "deployments.apps \"other\" is forbidden: ValidatingAdmissionPolicy 'own-scale' with binding 'own-scale' denied "
        "request: Not your own."
    )
    assert (
        answers[1]
        .json()["message"]
        .endswith("denied request: failed expression: !has(object.spec.replicas) || object.spec.replicas == 0")
    )


@pytest.mark.any_server
def test_an_apply_that_creates_needs_both_verbs(wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#api-implementation"""
    patcher = account(wire, "patcher", rule("patch", "configmaps", group=""))
    maker = account(wire, "maker", rule("patch create", "configmaps", group=""))
    path = f"{CONFIG_MAPS}/settings"
    codes = [each.apply(path, config_map(), "m").status_code for each in (patcher, maker, patcher)]
    patcher.close()
    maker.close()

    assert codes == [403, 201, 200]


@pytest.mark.any_server
def test_a_rule_for_names_allows_no_creation_and_no_list(wire: Wire) -> None:
    """Source: …/rbac/#referring-to-resources: "you cannot restrict create or deletecollection by resource name"."""
    named = account(wire, "named", rule("create list get", "configmaps", "settings", group=""))
    codes = [named.send("POST", CONFIG_MAPS, config_map()).status_code, named.send("GET", CONFIG_MAPS).status_code]
    named.close()

    assert codes == [403, 403]


def test_a_token_ends_with_its_time_and_with_its_account(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens"""
    allowed = rule("get list", "configmaps", group="")
    callers = [account(wire, "short", allowed), account(wire, "gone", allowed), wire.by("made-up")]

    def codes() -> list[int]:
        return [each.send("GET", CONFIG_MAPS).status_code for each in callers]

    before = codes()
    cluster.delete("serviceaccounts", "gone")
    after = codes()
    cluster.advance(3600)

    assert (before, after, codes()) == ([200, 200, 401], [200, 401, 401], [401, 401, 401])
    for caller in callers:
        caller.close()


def test_a_pod_grows_in_place_where_the_server_offers_it(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/"""
    cluster.create(with_resources(deployment(), limits={"memory": "512Mi"}))
    pod = cluster.pods_of("web")[0]["metadata"]["name"]
    more = {"spec": {"containers": [{"name": "server", "resources": {"limits": {"memory": "1Gi"}}}]}}
    strategic = "application/strategic-merge-patch+json"
    plain = wire.patch(f"{PODS}/{pod}", more, strategic)
    resized = wire.patch(f"{PODS}/{pod}/resize", more, strategic)
    other = wire.patch(f"{PODS}/{pod}/resize", {"spec": {"hostNetwork": True}}, strategic)
    cluster.plan("web", Plan(Trouble.RESIZE_INFEASIBLE, message="Node didn't have enough capacity: memory"))
    too_much = {"spec": {"containers": [{"name": "server", "resources": {"limits": {"memory": "900Gi"}}}]}}
    wire.patch(f"{PODS}/{pod}/resize", too_much, strategic)
    pending = condition_of(cluster.get("pods", pod), "PodResizePending")
    cluster.resizes_pods = False
    old = wire.patch(f"{PODS}/{pod}/resize", more, strategic)

    assert [answer.status_code for answer in (plain, resized, other, old)] == [422, 200, 422, 404]
    assert pending
    assert pending["reason"] == "Infeasible"
    assert cluster.get("pods", pod)["spec"]["containers"][0]["resources"]["limits"] == {"memory": "900Gi"}
    assert cluster.get("pods", pod)["status"]["containerStatuses"][0]["resources"]["limits"] == {"memory": "1Gi"}
