"""What a cluster's owner allows: Pod Security, quotas, limits, roles."""

from typing import Any

import pytest

from provisioning.tests.cluster import Cluster, Plan, Served, Trouble
from provisioning.tests.cluster.controllers.control import condition_of
from provisioning.tests.cluster.examples import claim, config_map, deployment
from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.wire import CLAIMS, CONFIG_MAPS, DEPLOYMENTS, PODS, Wire

NAMESPACE = "/api/v1/namespaces/workspaces"
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


def account(cluster: Cluster, name: str, *rules: Object) -> str:
    """A token of a new service account with a role of these rules."""
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    group = "rbac.authorization.k8s.io"
    role = {"metadata": {"name": name}, "rules": list(rules)}
    cluster.create({"apiVersion": f"{group}/v1", "kind": "Role", **role})
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "workspaces"}],
    }
    cluster.create(binding)
    return cluster.token(name)


def rule(verbs: str, resources: str, *names: str, group: str = "apps") -> Object:
    return {
        "apiGroups": [group],
        "resources": resources.split(),
        "verbs": verbs.split(),
        **({"resourceNames": list(names)} if names else {}),
    }


def test_a_service_account_may_do_what_its_role_says(cluster: Cluster, api: Served) -> None:
    """Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects"""
    cluster.create(deployment())
    cluster.create(deployment("other"))
    wire = Wire(api, account(cluster, "sidecar", rule("get patch", "deployments/scale", "web")))
    codes = [
        wire.send("GET", f"{DEPLOYMENTS}/web/scale").status_code,
        wire.patch(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 0}}).status_code,
        wire.patch(f"{DEPLOYMENTS}/other/scale", {"spec": {"replicas": 0}}).status_code,
        wire.send("GET", f"{DEPLOYMENTS}/web").status_code,
        wire.send("GET", PODS).status_code,
        wire.send("GET", PODS, watch="1").status_code,
    ]
    message = wire.send("GET", f"{DEPLOYMENTS}/web").json()["message"]
    wire.close()

    assert codes == [200, 200, 403, 403, 403, 403]
    assert message == (
        'deployments.apps "web" is forbidden: User "system:serviceaccount:workspaces:sidecar" cannot get resource '
        '"deployments" in API group "apps" in the namespace "workspaces"'
    )


def test_a_policy_narrows_what_a_role_allows(cluster: Cluster, api: Served) -> None:
    """Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/"""
    own = {"expression": "request.userInfo.username.endsWith(':' + request.name)", "message": "Not your own."}
    rules = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments/scale"]}
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "own-scale"}}
    spec = {
        "matchConstraints": {"resourceRules": [rules]},
        "validations": [own, {"expression": "object.spec.replicas == 0"}],
    }
    cluster.create({**head, "kind": "ValidatingAdmissionPolicy", "spec": spec})
    bound = {"policyName": "own-scale", "validationActions": ["Deny"]}
    cluster.create({**head, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound})
    for name in ("web", "other"):
        cluster.create(deployment(name))
    wire = Wire(api, account(cluster, "web", rule("get patch", "deployments/scale")))
    stop, grow = {"spec": {"replicas": 0}}, {"spec": {"replicas": 2}}
    asked = [("other", stop), ("web", grow), ("web", stop)]
    answers = [wire.patch(f"{DEPLOYMENTS}/{name}/scale", scale) for name, scale in asked]
    wire.close()

    assert [answer.status_code for answer in answers] == [422, 422, 200]
    assert answers[0].json()["message"] == (
        "deployments.apps \"other\" is forbidden: ValidatingAdmissionPolicy 'own-scale' with binding 'own-scale' denied "
        "request: Not your own."
    )
    assert answers[1].json()["message"].endswith("denied request: failed expression: object.spec.replicas == 0")


def test_an_apply_that_creates_needs_both_verbs(cluster: Cluster, api: Served) -> None:
    """Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#api-implementation"""
    patcher = Wire(api, account(cluster, "patcher", rule("patch", "configmaps", group="")))
    maker = Wire(api, account(cluster, "maker", rule("patch create", "configmaps", group="")))
    path = f"{CONFIG_MAPS}/settings"
    codes = [wire.apply(path, config_map(), "m").status_code for wire in (patcher, maker, patcher)]
    patcher.close()
    maker.close()

    assert codes == [403, 201, 200]


def test_a_rule_for_names_allows_no_creation_and_no_list(cluster: Cluster, api: Served) -> None:
    """Source: …/rbac/#referring-to-resources: "you cannot restrict create or deletecollection by resource name"."""
    wire = Wire(api, account(cluster, "named", rule("create list get", "configmaps", "settings", group="")))
    codes = [wire.send("POST", CONFIG_MAPS, config_map()).status_code, wire.send("GET", CONFIG_MAPS).status_code]
    wire.close()

    assert codes == [403, 403]


def test_a_token_ends_with_its_time_and_with_its_account(cluster: Cluster, api: Served) -> None:
    """Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens"""
    allowed = rule("get list", "configmaps", group="")
    short = account(cluster, "short", allowed)
    gone = account(cluster, "gone", allowed)
    before = [_listed(api, token) for token in (short, gone, "made-up")]
    cluster.delete("serviceaccounts", "gone")
    after = _listed(api, gone)
    cluster.advance(3600)

    assert before == [200, 200, 401]
    assert (after, _listed(api, short)) == (401, 401)


def _listed(api: Served, token: str) -> int:
    wire = Wire(api, token)
    code = wire.send("GET", CONFIG_MAPS).status_code
    wire.close()
    return code


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
