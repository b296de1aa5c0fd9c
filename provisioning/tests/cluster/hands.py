"""What a bare API server lacks, done by hand over HTTP: controllers where there are none, and a node in any case.

With it the gateway's backend can be tried on a real API server without a kubelet (envtest), and on a whole cluster
without its nodes: pods are to be made so that no node takes them, and are said to be ready here.
"""

import hashlib
import threading
import time

import orjson

from provisioning.tests.cluster.kinds import Object
from provisioning.tests.cluster.patches import MERGE_PATCH
from provisioning.tests.cluster.store import copied
from provisioning.tests.cluster.wire import CLAIMS, DEPLOYMENTS, PODS, SERVICES, Wire

TEMPLATE = "dexorder.io/test-template"

# Between two looks. A real cluster's parts hear of a change at once; a test can wait for this.
LOOK_S = 0.1

# A controller that is there has noted a new Deployment by then.
CONTROLLER_S = 3.0


class Hands:
    """Works on the namespace of `wire`, as its administrator, inside the block; where there are controllers, beside them."""

    def __init__(self, wire: Wire, *, controllers: bool) -> None:
        self._wire = wire
        self._controllers = controllers
        self._stopping = threading.Event()
        self._made = 0
        self._thread = threading.Thread(target=self._work, name="hands", daemon=True)

    def __enter__(self) -> "Hands":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopping.wait(LOOK_S):
            if not self._controllers:
                self._control()
            for pod in self._wire.get(PODS)["items"]:
                if "deletionTimestamp" not in pod["metadata"] and not _is_ready(pod):
                    self._wire.patch(f"{PODS}/{pod['metadata']['name']}/status", {"status": _ready(pod)}, MERGE_PATCH)

    def _control(self) -> None:
        """Deployments have their pods, claims are bound, and what has lost its owner goes."""
        deployments = {each["metadata"]["uid"]: each for each in self._wire.get(DEPLOYMENTS)["items"]}
        pods = self._wire.get(PODS)["items"]
        for path, trees in ((PODS, pods), (SERVICES, self._wire.get(SERVICES)["items"])):
            for tree in trees:
                if _owner(tree) and _owner(tree) not in deployments:
                    self._wire.send("DELETE", f"{path}/{tree['metadata']['name']}")
        for uid, deployment in deployments.items():
            self._scale(deployment, [pod for pod in pods if _owner(pod) == uid])
        for claim in self._wire.get(CLAIMS)["items"]:
            if claim.get("status", {}).get("phase") != "Bound":
                self._wire.patch(f"{CLAIMS}/{claim['metadata']['name']}/status", {"status": {"phase": "Bound"}})

    def _scale(self, deployment: Object, pods: list[Object]) -> None:
        wanted = deployment["spec"]["replicas"]
        current = [pod for pod in pods if pod["metadata"]["annotations"][TEMPLATE] == _template(deployment)]
        for pod in [*(pod for pod in pods if pod not in current), *current[wanted:]]:
            self._wire.send("DELETE", f"{PODS}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
        for _ in range(wanted - len(current)):
            self._made += 1
            made = self._wire.send("POST", PODS, _pod(deployment, self._made))
            assert made.status_code == 201, made.text
        status = {"observedGeneration": deployment["metadata"]["generation"], "replicas": len(pods)}
        if status.items() - deployment.get("status", {}).items():
            self._wire.patch(f"{DEPLOYMENTS}/{deployment['metadata']['name']}/status", {"status": status})


def _owner(tree: Object) -> str:
    return next((str(each["uid"]) for each in tree["metadata"].get("ownerReferences", [])), "")


def _pod(deployment: Object, number: int) -> Object:
    name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": deployment["metadata"]["uid"]}
    metadata = copied(template["metadata"])
    metadata.setdefault("annotations", {})[TEMPLATE] = _template(deployment)
    metadata |= {"name": f"{name}-{number}", "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _template(deployment: Object) -> str:
    """What tells pods of one template from those of another, as pod-template-hash does."""
    return hashlib.sha256(orjson.dumps(deployment["spec"]["template"], option=orjson.OPT_SORT_KEYS)).hexdigest()


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _ready(pod: Object) -> Object:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    types = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    conditions = [{"type": type_, "status": "True", "lastTransitionTime": now} for type_ in types]
    status: Object = {"phase": "Running", "conditions": conditions}
    for spec, field in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
        status[field] = [_running(container, now) for container in pod["spec"].get(spec, [])]
    return status


def _running(container: Object, now: str) -> Object:
    state = {"running": {"startedAt": now}}
    facts = {"image": container["image"], "imageID": "", "ready": True, "started": True, "restartCount": 0}
    return {"name": container["name"], "state": state, **facts}


def has_controllers(wire: Wire) -> bool:
    """Whether anyone but us notes a new Deployment."""
    labels = {"app": "probe"}
    container = {"name": "none", "image": "registry.invalid/none:1"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    tree = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "probe"}, "spec": spec}
    made = wire.send("POST", DEPLOYMENTS, tree)
    assert made.status_code == 201, made.text
    until = time.monotonic() + CONTROLLER_S
    found = False
    while not found and time.monotonic() < until:
        time.sleep(LOOK_S)
        found = "observedGeneration" in wire.get(f"{DEPLOYMENTS}/probe").get("status", {})
    wire.send("DELETE", f"{DEPLOYMENTS}/probe")
    return found
