"""Server-side apply and the other patches.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/, here SSA.
"""

from typing import Any

import pytest

from provisioning.tests.cluster.examples import config_map
from provisioning.tests.cluster.examples import deployment_without_sidecar as deployment
from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.patches import JSON_PATCH, STRATEGIC
from provisioning.tests.cluster.wire import CONFIG_MAPS, DEPLOYMENTS, Wire

WEB = f"{DEPLOYMENTS}/web"
SETTINGS = f"{CONFIG_MAPS}/settings"


def managers(tree: Object) -> dict[tuple[str, str], Any]:
    entries = tree["metadata"].get("managedFields", [])
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


def without_replicas() -> Object:
    tree = deployment()
    del tree["spec"]["replicas"]
    return tree


@pytest.mark.any_server
def test_an_apply_creates_with_201_and_changes_with_200(wire: Wire) -> None:
    codes = [wire.apply(SETTINGS, config_map(a=value), "gateway").status_code for value in ("1", "1", "2")]

    assert codes == [201, 200, 200]


@pytest.mark.any_server
def test_an_apply_that_changes_nothing_keeps_the_version(wire: Wire) -> None:
    """Source: a no-op apply writes nothing to etcd, so watchers hear nothing of it."""
    first = wire.apply(WEB, deployment(), "gateway")
    before = wire.at_rest(WEB)
    second = wire.apply(WEB, deployment(), "gateway", force="true").json()

    assert first.status_code == 201
    assert second["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


@pytest.mark.any_server
def test_managed_fields_name_what_was_applied(wire: Wire) -> None:
    tree = wire.apply(SETTINGS, config_map(a="1"), "gateway").json()

    assert managers(tree) == {("gateway", "Apply"): {"f:data": {"f:a": {}}}}


@pytest.mark.any_server
def test_two_managers_share_an_object_field_by_field(wire: Wire) -> None:
    """SSA: "appliers may share ownership of a field by setting it to the same value"."""
    wire.apply(SETTINGS, config_map(a="1"), "one")
    tree = wire.apply(SETTINGS, config_map(a="1", b="2"), "two").json()

    assert tree["data"] == {"a": "1", "b": "2"}
    assert managers(tree)[("one", "Apply")] == {"f:data": {"f:a": {}}}


@pytest.mark.any_server
def test_a_field_of_another_manager_is_a_conflict_until_forced(wire: Wire) -> None:
    """SSA: "Conflicts: … the force flag overwrites the value and removes the field from the others' managedFields"."""
    wire.apply(SETTINGS, config_map(a="1"), "one")
    refused = wire.apply(SETTINGS, config_map(a="2"), "two")
    forced = wire.apply(SETTINGS, config_map(a="2"), "two", force="true").json()

    assert (refused.status_code, refused.json()["reason"]) == (409, "Conflict")
    assert refused.json()["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.a"}
    ]
    assert forced["data"] == {"a": "2"}
    assert ("one", "Apply") not in managers(forced)


@pytest.mark.any_server
def test_what_is_no_longer_applied_goes_unless_another_manages_it(wire: Wire) -> None:
    """SSA: "if you remove a field from a manifest and apply it, the field is removed if nobody else owns it"."""
    wire.apply(SETTINGS, config_map(a="1", b="2"), "one")
    wire.apply(SETTINGS, config_map(b="2"), "two")
    tree = wire.apply(SETTINGS, config_map(c="3"), "one").json()

    assert tree["data"] == {"b": "2", "c": "3"}


@pytest.mark.any_server
def test_a_whole_container_goes_when_its_manager_drops_it(wire: Wire) -> None:
    """SSA: lists of type map are merged by their keys."""
    tree = deployment()
    tree["spec"]["template"]["spec"]["containers"].append({"name": "extra", "image": "registry.example/extra:1"})
    wire.apply(WEB, tree, "gateway")
    after = wire.apply(WEB, deployment(), "gateway").json()

    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["server"]


@pytest.mark.any_server(since=22)
def test_a_scale_takes_the_replicas_from_the_applier(wire: Wire) -> None:
    """SSA, Transferring ownership: /scale is recorded as an update of spec.replicas by its own manager."""
    wire.apply(WEB, deployment(), "gateway")
    wire.patch(f"{WEB}/scale", {"spec": {"replicas": 0}}, fieldManager="sidecar")
    tree = wire.get(WEB)
    stays = wire.apply(WEB, without_replicas(), "gateway").json()
    conflict = wire.apply(WEB, deployment(), "gateway")

    assert managers(tree)[("sidecar", "Update")] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in managers(tree)[("gateway", "Apply")]["f:spec"]
    assert stays["spec"]["replicas"] == 0
    assert conflict.status_code == 409
    assert conflict.json()["details"]["causes"][0]["field"] == ".spec.replicas"


@pytest.mark.any_server
def test_replicas_that_their_only_applier_drops_fall_back_to_1(wire: Wire) -> None:
    """SSA, Transferring ownership: "the field would be removed and defaulted to 1, possibly causing a scale-down"."""
    tree = deployment(replicas=0)
    wire.apply(WEB, tree, "gateway")
    after = wire.apply(WEB, without_replicas(), "gateway").json()

    assert after["spec"]["replicas"] == 1


@pytest.mark.any_server
def test_an_update_takes_over_what_it_changes(wire: Wire) -> None:
    """SSA: "an update that changes a field's value takes ownership from every other manager"."""
    wire.apply(SETTINGS, config_map(a="1", b="2"), "gateway")
    tree = wire.patch(SETTINGS, {"data": {"a": "9"}}, fieldManager="kubectl-edit").json()

    assert managers(tree) == {
        ("gateway", "Apply"): {"f:data": {"f:b": {}}},
        ("kubectl-edit", "Update"): {"f:data": {"f:a": {}}},
    }


@pytest.mark.any_server
def test_an_apply_may_carry_the_version_it_expects(wire: Wire) -> None:
    """SSA: resourceVersion in the configuration is optimistic locking."""
    made = wire.apply(SETTINGS, config_map(a="1"), "gateway").json()
    wire.patch(SETTINGS, {"metadata": {"labels": {"x": "y"}}})
    tree = config_map(a="2")
    tree["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]

    assert wire.apply(SETTINGS, tree, "gateway").status_code == 409


@pytest.mark.any_server
def test_an_apply_with_the_version_of_no_object_creates_and_changes_nothing_that_is_there(wire: Wire) -> None:
    """Source: https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go

    A new object's version is not looked at, that of one which is there must be the one it has.
    """
    tree = config_map(a="1")
    tree["metadata"]["resourceVersion"] = "1"
    codes = [wire.apply(SETTINGS, tree, "gateway", force="true").status_code for _ in range(2)]

    assert codes == [201, 409]
    assert wire.get(SETTINGS)["metadata"]["resourceVersion"] != "1"


@pytest.mark.any_server
def test_an_apply_needs_a_manager_and_known_fields(wire: Wire) -> None:
    nameless = wire.apply(SETTINGS, config_map(), "")
    unknown = wire.apply(WEB, {**deployment(), "spek": {}}, "gateway")

    assert nameless.status_code == 422
    assert (unknown.status_code, "field not declared in schema" in unknown.text) == (500, True)


@pytest.mark.any_server
def test_a_merge_patch_replaces_lists_and_null_removes(wire: Wire) -> None:
    """Source: RFC 7396."""
    wire.send("POST", DEPLOYMENTS, deployment())
    containers = [{"name": "other", "image": "registry.example/other:1"}]
    patch = {"metadata": {"labels": {"app": None}}, "spec": {"template": {"spec": {"containers": containers}}}}
    after = wire.patch(WEB, patch).json()

    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["other"]
    assert not after["metadata"].get("labels")


@pytest.mark.any_server
def test_a_strategic_patch_merges_containers_by_name(wire: Wire) -> None:
    """Source: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/"""
    wire.send("POST", DEPLOYMENTS, deployment())
    containers = [{"name": "server", "workingDir": "/srv"}, {"name": "more", "image": "registry.example/more:1"}]
    after = wire.patch(WEB, {"spec": {"template": {"spec": {"containers": containers}}}}, STRATEGIC).json()
    dropped = [{"name": "more", "$patch": "delete"}]
    last = wire.patch(WEB, {"spec": {"template": {"spec": {"containers": dropped}}}}, STRATEGIC).json()
    server, more = after["spec"]["template"]["spec"]["containers"]

    assert (server["image"], server["workingDir"], more["name"]) == ("registry.example/web:1", "/srv", "more")
    assert [each["name"] for each in last["spec"]["template"]["spec"]["containers"]] == ["server"]


@pytest.mark.any_server
def test_a_json_patch_tests_before_it_writes(wire: Wire) -> None:
    """Source: RFC 6902; the API answers 422 to a test that fails."""
    wire.send("POST", CONFIG_MAPS, config_map(a="1"))
    good = [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "replace", "path": "/data/a", "value": "2"}]
    codes = [wire.patch(SETTINGS, good, JSON_PATCH).status_code, wire.patch(SETTINGS, good, JSON_PATCH).status_code]

    assert codes == [200, 422]
    assert wire.get(SETTINGS)["data"] == {"a": "2"}
