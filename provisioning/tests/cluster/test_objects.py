"""Objects: versions, names, checks, deletion. Each test says which sentence of the documentation it follows.

api-concepts is https://kubernetes.io/docs/reference/using-api/api-concepts/, conventions is
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md.
"""

from typing import Any

import pytest

from provisioning.tests.cluster import Cluster, Options, Plan
from provisioning.tests.cluster.examples import claim, config_map, deployment, with_claim
from provisioning.tests.cluster.wire import CLAIMS, CONFIG_MAPS, DEPLOYMENTS, PODS, SERVICES, Wire


def version(tree: Any) -> str:
    return str(tree["metadata"]["resourceVersion"])


@pytest.mark.any_server
def test_a_creation_answers_201_and_a_second_one_409(wire: Wire) -> None:
    """conventions: "AlreadyExists: a resource with the name already exists"."""
    first = wire.send("POST", CONFIG_MAPS, config_map())
    second = wire.send("POST", CONFIG_MAPS, config_map())

    assert (first.status_code, second.status_code) == (201, 409)
    assert second.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "settings" already exists',
        "reason": "AlreadyExists",
        "details": {"name": "settings", "kind": "configmaps"},
        "code": 409,
    }


@pytest.mark.any_server
def test_each_write_has_a_greater_version_and_one_that_changes_nothing_has_none(wire: Wire) -> None:
    """api-concepts: a resource version changes when, and only when, the object is written."""
    made = wire.send("POST", CONFIG_MAPS, config_map(colour="red")).json()
    changed = wire.patch(f"{CONFIG_MAPS}/settings", {"data": {"colour": "blue"}}).json()
    same = wire.patch(f"{CONFIG_MAPS}/settings", {"data": {"colour": "blue"}}).json()

    assert int(version(made)) < int(version(changed))
    assert version(same) == version(changed)
    assert made["metadata"]["uid"] == changed["metadata"]["uid"]


@pytest.mark.any_server
def test_generation_counts_changes_of_the_spec_and_a_deployments_annotations(wire: Wire) -> None:
    """conventions: "metadata.generation: a sequence number representing a specific generation of the desired state"."""
    wire.send("POST", DEPLOYMENTS, deployment())
    patches = (
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"spec": {"replicas": 2}},
        {"metadata": {"annotations": {"a": "c"}}, "spec": {"replicas": 3}},
    )
    trees = [wire.patch(f"{DEPLOYMENTS}/web", patch).json() for patch in patches]

    assert [tree["metadata"]["generation"] for tree in trees] == [1, 2, 3, 4]


@pytest.mark.any_server
def test_an_update_with_an_old_version_is_a_conflict(wire: Wire) -> None:
    """conventions: "the server must reject with 409 when the resourceVersion does not match"."""
    made = wire.send("POST", CONFIG_MAPS, config_map()).json()
    wire.patch(f"{CONFIG_MAPS}/settings", {"data": {"a": "1"}})
    put = wire.send("PUT", f"{CONFIG_MAPS}/settings", {**made, "data": {"a": "2"}})
    patch = wire.patch(f"{CONFIG_MAPS}/settings", {"metadata": {"resourceVersion": version(made)}, "data": {"a": "3"}})

    assert [(put.status_code, put.json()["reason"]), (patch.status_code, patch.json()["reason"])] == [
        (409, "Conflict")
    ] * 2
    assert "the object has been modified" in put.json()["message"]


@pytest.mark.any_server
def test_a_scale_carries_the_deployments_version_as_its_precondition(wire: Wire) -> None:
    """Source: the sidecar's stop depends on it; the scale's metadata is the Deployment's own."""
    wire.send("POST", DEPLOYMENTS, deployment())
    scale = wire.at_rest(f"{DEPLOYMENTS}/web/scale")
    wire.patch(f"{DEPLOYMENTS}/web", {"metadata": {"annotations": {"demand": "1"}}})
    stop = {"metadata": {"resourceVersion": version(scale)}, "spec": {"replicas": 0}}
    late = wire.patch(f"{DEPLOYMENTS}/web/scale", stop)
    stop["metadata"] = {"resourceVersion": version(wire.at_rest(f"{DEPLOYMENTS}/web/scale"))}
    in_time = wire.patch(f"{DEPLOYMENTS}/web/scale", stop)

    assert (late.status_code, in_time.status_code) == (409, 200)
    assert wire.get(f"{DEPLOYMENTS}/web")["spec"]["replicas"] == 0


@pytest.mark.any_server
def test_status_is_written_by_its_own_path_only(wire: Wire) -> None:
    """conventions: "PUT and PATCH on the main resource ignore status; /status ignores all but status"."""
    wire.send("POST", CLAIMS, claim())
    wire.patch(f"{CLAIMS}/data", {"status": {"phase": "Lost"}})
    ignored = wire.get(f"{CLAIMS}/data")["status"]["phase"]
    by_status = wire.patch(
        f"{CLAIMS}/data/status", {"status": {"phase": "Lost"}, "spec": {"volumeName": "mine"}}
    ).json()

    assert ignored == "Pending"
    assert by_status["status"]["phase"] == "Lost"
    assert "volumeName" not in by_status["spec"]


@pytest.mark.any_server
def test_a_dry_run_checks_and_stores_nothing(wire: Wire) -> None:
    """api-concepts: "the response body for the request is as close as possible to a non-dry-run response"."""
    made = wire.send("POST", DEPLOYMENTS, deployment(), dryRun="All")
    refused = wire.send("POST", DEPLOYMENTS, deployment(replicas=-1), dryRun="All")

    assert made.json()["spec"]["revisionHistoryLimit"] == 10
    assert (made.status_code, refused.status_code) == (201, 422)
    assert wire.send("GET", f"{DEPLOYMENTS}/web").status_code == 404


@pytest.mark.any_server
def test_pages_hold_all_objects_once(wire: Wire) -> None:
    """api-concepts: "Retrieving large results sets in chunks"."""
    for number in range(5):
        tree = config_map(f"map-{number}")
        tree["metadata"]["labels"] = {"of": "pages"}
        wire.send("POST", CONFIG_MAPS, tree)
    names: list[str] = []
    token = ""
    for _ in range(3):
        page = wire.get(CONFIG_MAPS, limit="2", labelSelector="of=pages", **{"continue": token})
        names.extend(item["metadata"]["name"] for item in page["items"])
        token = page["metadata"].get("continue", "")

    assert names == [f"map-{number}" for number in range(5)]
    assert token == ""


def test_a_page_that_is_too_old_is_gone(cluster: Cluster, wire: Wire) -> None:
    """api-concepts: "the server may return 410 ResourceExpired; the client will need to begin again"."""
    for number in range(3):
        wire.send("POST", CONFIG_MAPS, config_map(f"map-{number}"))
    token = wire.get(CONFIG_MAPS, limit="2")["metadata"]["continue"]
    wire.send("POST", CONFIG_MAPS, config_map("another"))
    cluster.compact()
    answer = wire.send("GET", CONFIG_MAPS, limit="2", **{"continue": token})

    assert (answer.status_code, answer.json()["reason"]) == (410, "Expired")


@pytest.mark.any_server
@pytest.mark.any_server
@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("tier=pro", ["b"]),
        ("tier==pro,zone!=x", ["b"]),
        ("tier!=pro", ["a", "c"]),
        ("tier in (pro, free)", ["a", "b"]),
        ("tier notin (pro)", ["a", "c"]),
        ("tier", ["a", "b"]),
        ("!tier", ["c"]),
    ],
)
def test_label_selectors(wire: Wire, selector: str, chosen: list[str]) -> None:
    """Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"""
    for name, labels in (("a", {"tier": "free"}), ("b", {"tier": "pro"}), ("c", {})):
        tree = config_map(name)
        tree["metadata"]["labels"] = labels
        wire.send("POST", CONFIG_MAPS, tree)

    found = [each["metadata"]["name"] for each in wire.get(CONFIG_MAPS, labelSelector=selector)["items"]]

    assert [name for name in found if name in {"a", "b", "c"}] == chosen


def test_field_selectors(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/"""
    cluster.create(deployment("a"))
    cluster.create(deployment("b"))
    cluster.evict("a")
    failed = wire.get(PODS, fieldSelector="status.phase=Failed")["items"]
    unknown = wire.send("GET", PODS, fieldSelector="spec.colour=red")

    assert len(failed) == 1
    assert (unknown.status_code, unknown.json()["message"]) == (400, "field label not supported: spec.colour")


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda tree: tree["metadata"].update(name="Web"), "metadata.name"),
        (lambda tree: tree["metadata"].update(labels={"a": "not a value"}), "metadata.labels"),
        (lambda tree: tree["spec"].pop("selector"), "spec.selector"),
        (lambda tree: tree["spec"]["selector"]["matchLabels"].update(app="other"), "spec.template.metadata.labels"),
        (
            lambda tree: tree["spec"]["template"]["spec"]["containers"][0].pop("image"),
            "spec.template.spec.containers[0].image",
        ),
        (
            lambda tree: tree["spec"]["template"]["spec"]["containers"][0].update(
                resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1500m"}}
            ),
            "spec.template.spec.containers[0].resources.requests",
        ),
        (
            lambda tree: tree["spec"]["template"]["spec"]["containers"][0].update(
                volumeMounts=[{"name": "none", "mountPath": "/x"}]
            ),
            "spec.template.spec.containers[0].volumeMounts[0].name",
        ),
    ],
)
def test_an_object_that_is_wrong_is_unprocessable(wire: Wire, spoil: Any, field: str) -> None:
    """conventions: "422: the requested operation cannot be completed due to a semantic error"; details name the field."""
    tree = deployment()
    spoil(tree)
    answer = wire.send("POST", DEPLOYMENTS, tree)

    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")
    assert field in [cause["field"] for cause in answer.json()["details"]["causes"]]


@pytest.mark.any_server(since=25)
def test_unknown_fields_are_refused_when_asked_and_dropped_otherwise(wire: Wire) -> None:
    """api-concepts, Field validation: "Strict: the API server rejects the request with a 400 when it detects any"."""
    tree = deployment()
    tree["spec"]["template"]["spec"]["containers"][0]["comand"] = ["x"]
    strict = wire.send("POST", DEPLOYMENTS, tree, fieldValidation="Strict")
    lenient = wire.send("POST", DEPLOYMENTS, tree)

    assert strict.status_code == 400
    assert strict.json()["message"] == 'strict decoding error: unknown field "spec.template.spec.containers[0].comand"'
    assert lenient.status_code == 201
    assert "comand" not in lenient.text


@pytest.mark.any_server
def test_a_wrong_type_or_quantity_is_a_bad_request(wire: Wire) -> None:
    """Source: both are refused by the decoder, before validation."""
    typed, measured = deployment(), deployment()
    typed["spec"]["replicas"] = "one"
    measured["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"memory": "2 GB"}}
    answers = [wire.send("POST", DEPLOYMENTS, tree) for tree in (typed, measured)]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert "quantities must match the regular expression" in answers[1].json()["message"]


@pytest.mark.any_server
def test_what_the_body_is_must_be_said(wire: Wire) -> None:
    """api-concepts: "415 when the content type is not supported"."""
    wire.send("POST", CONFIG_MAPS, config_map())
    answer = wire.patch(f"{CONFIG_MAPS}/settings", {}, "application/json")

    assert (answer.status_code, answer.json()["reason"]) == (415, "UnsupportedMediaType")


@pytest.mark.any_server
def test_another_path_method_or_kind_is_refused(wire: Wire) -> None:
    placeless = config_map()
    del placeless["metadata"]["namespace"]
    codes = [
        wire.send("GET", "/apis/apps/v2/namespaces/workspaces/deployments").status_code,
        wire.send("GET", "/apis/apps/v1/namespaces/workspaces/deployments/web/colour").status_code,
        wire.send("POST", f"{CONFIG_MAPS}/settings", config_map()).status_code,
        wire.send("POST", CONFIG_MAPS, deployment()).status_code,
        wire.send("POST", "/api/v1/namespaces/nowhere/configmaps", placeless).status_code,
    ]

    assert codes == [404, 404, 405, 400, 404]


def test_a_selector_is_immutable_and_a_claim_only_grows(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims"""
    cluster.create(claim(storage="1Gi"))
    cluster.create(with_claim(deployment()))

    def resized(storage: str) -> int:
        return wire.patch(f"{CLAIMS}/data", {"spec": {"resources": {"requests": {"storage": storage}}}}).status_code

    codes = [
        wire.patch(f"{DEPLOYMENTS}/web", {"spec": {"selector": {"matchLabels": {"app": "x"}}}}).status_code,
        wire.patch(f"{CLAIMS}/data", {"spec": {"accessModes": ["ReadWriteMany"]}}).status_code,
        resized("2Gi"),
        resized("1Gi"),
    ]

    assert codes == [422, 422, 200, 422]
    assert wire.get(f"{CLAIMS}/data")["status"]["capacity"] == {"storage": "2Gi"}


@pytest.mark.any_server
def test_a_patch_with_another_uid_changes_what_cannot_be_changed(wire: Wire) -> None:
    """objectmeta.go, ValidateObjectMetaUpdate: the uid is immutable. A PUT has it as a precondition, a PATCH has none."""
    made = wire.send("POST", CONFIG_MAPS, config_map()).json()
    path, metadata = f"{CONFIG_MAPS}/settings", made["metadata"]
    patches = (
        {"uid": "another"},
        {"uid": "another", "resourceVersion": "1"},
        {"uid": metadata["uid"], "annotations": {"example.com/a": "b"}},
    )
    answers = [wire.patch(path, {"metadata": change}) for change in patches]

    assert [answer.status_code for answer in answers] == [422, 409, 200]
    assert [cause["field"] for cause in answers[0].json()["details"]["causes"]] == ["metadata.uid"]


@pytest.mark.any_server
def test_a_deletion_holds_its_preconditions(wire: Wire) -> None:
    """api-concepts: "preconditions: uid, resourceVersion. If not fulfilled, a 409 Conflict status will be returned"."""
    made = wire.send("POST", CONFIG_MAPS, config_map()).json()

    def delete(**preconditions: str) -> int:
        return wire.send("DELETE", f"{CONFIG_MAPS}/settings", {"preconditions": preconditions}).status_code

    codes = [delete(uid="another"), delete(resourceVersion="1"), delete(uid=made["metadata"]["uid"]), delete()]

    assert codes == [409, 409, 200, 404]


def test_dependents_go_with_their_owner_and_a_claim_without_owner_stays(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/#background-deletion"""
    cluster.create(claim())
    owner = cluster.create(with_claim(deployment()))["metadata"]
    service = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}, "apiVersion": "v1", "kind": "Service"}
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": owner["uid"]}
    service["metadata"]["ownerReferences"] = [reference]  # type: ignore[index]  # a tree
    wire.send("POST", SERVICES, service)
    wire.send("DELETE", f"{DEPLOYMENTS}/web")

    assert [cluster.names(kind) for kind in ("replicasets", "pods", "services")] == [[], [], []]
    assert cluster.names("persistentvolumeclaims") == ["data"]


def test_orphans_stay(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/tasks/administer-cluster/use-cascading-deletion/#set-orphan-deletion-policy"""
    cluster.create(deployment())
    wire.send("DELETE", f"{DEPLOYMENTS}/web", {"propagationPolicy": "Orphan"})

    assert len(cluster.objects("replicasets")) == 1
    assert "ownerReferences" not in cluster.objects("replicasets")[0]["metadata"]


def test_foreground_deletion_shows_the_owner_until_its_dependents_are_gone(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion"""
    cluster.plan("web", Plan(stop_s=3))
    cluster.create(deployment())
    wire.send("DELETE", f"{DEPLOYMENTS}/web", {"propagationPolicy": "Foreground"})
    during = wire.send("GET", f"{DEPLOYMENTS}/web")
    cluster.advance(3)

    assert during.json()["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert wire.send("GET", f"{DEPLOYMENTS}/web").status_code == 404


def test_a_claim_in_use_is_deleted_when_its_pod_is_gone(cluster: Cluster, wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection"""
    cluster.create(claim())
    cluster.create(with_claim(deployment()))
    held = wire.send("DELETE", f"{CLAIMS}/data").json()
    there = wire.send("GET", f"{CLAIMS}/data").status_code
    wire.patch(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 0}})

    assert held["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert held["metadata"]["deletionTimestamp"]
    assert (there, wire.send("GET", f"{CLAIMS}/data").status_code) == (200, 404)


def test_a_pod_ends_with_grace_and_at_once_without(cluster: Cluster) -> None:
    """Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination"""
    cluster.plan("web", Plan(stop_s=5))
    cluster.create(deployment(replicas=2))
    graceful, forced = cluster.names("pods")
    cluster.delete("pods", graceful)
    cluster.delete("pods", forced, Options(grace_s=0))

    assert "deletionTimestamp" in cluster.get("pods", graceful)["metadata"]
    assert forced not in cluster.names("pods")
    cluster.advance(5)
    assert graceful not in cluster.names("pods")


def test_a_namespace_empties_before_it_goes(cluster: Cluster, wire: Wire) -> None:
    cluster.create(deployment())
    wire.send("DELETE", "/api/v1/namespaces/workspaces")

    assert cluster.names("deployments") == []
    assert wire.send("GET", "/api/v1/namespaces/workspaces").status_code == 404
