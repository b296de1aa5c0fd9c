"""What the cluster shows of a start: how far it is, and what is in its way. Pure: a sight in, a verdict out."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from provisioning.backends._kubernetes.cluster import Sight
from provisioning.backends._kubernetes.views import SERVER, ContainerView, PodView
from provisioning.errors import Cause

# Reasons as the kubelet gives them:
# https://github.com/kubernetes/kubernetes/blob/v1.33.0/pkg/kubelet/images/types.go
# https://github.com/kubernetes/kubernetes/blob/v1.33.0/pkg/kubelet/kuberuntime/kuberuntime_container.go
WRONG_IMAGE = {"InvalidImageName", "ErrImageNeverPull"}
PULL_FAILS, PULL_FAILED = "ErrImagePull", "ImagePullBackOff"
CANNOT_BE_MADE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
CRASH_LOOP = "CrashLoopBackOff"
# Events of a pod: https://github.com/kubernetes/kubernetes/blob/v1.33.0/pkg/kubelet/events/event.go
SANDBOX_FAILS, MOUNT_FAILS = "FailedCreatePodSandBox", "FailedMount"
# Those of the pod that are not the user's data: manifests/deployment.yaml.
OTHER_VOLUMES = frozenset({"tmp", "keys", "token", "pod"})
# https://github.com/kubernetes/kubernetes/blob/v1.33.0/pkg/kubelet/volumemanager/volume_manager.go, and util/types beside it
_UNMOUNTED = re.compile(r"unmounted volumes=\[([^\]]*)\]")
_FOR_VOLUME = re.compile(r'for volume "([^"]+)"')
OUT_OF_MEMORY = "OOMKilled"
# Of a Failed pod: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
# https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/kubelet/preemption/preemption.go, lifecycle/predicate.go
# https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/kubelet/nodeshutdown/nodeshutdown_manager.go
EVICTED, PREEMPTED, NO_ROOM_AFTER_ALL = "Evicted", "Preempting", "OutOf"
SHUT_DOWN = {"Terminated", "NodeShutdown", "Shutdown"}


# Of the plug-ins VolumeBinding and VolumeZone, the second as of 1.33:
# https://github.com/kubernetes/kubernetes/blob/v1.33.0/pkg/scheduler/framework/plugins/volumebinding/binder.go
ELSEWHERE = (
    "volume node affinity conflict",
    "didn't match persistentvolume's node affinity",
    "had no available volume zone",
)


# What controllers, registries and runtimes stumble over and get past by themselves, in their second or third try.
STANDS_S = 20.0
# A container that was started for the third time, and could not be, will not be the fourth time.
SURE_RESTARTS = 2
# What is refused by a rule, not because of an API server, a webhook or a cache that was not ready:
# https://github.com/kubernetes/kubernetes/blob/v1.33.0/plugin/pkg/admission/resourcequota/controller.go, limitranger/admission.go
# https://github.com/kubernetes/apiserver/blob/v0.33.0/pkg/admission/plugin/webhook/errors/statuserror.go
_BY_A_RULE = re.compile(
    r"(exceeded|failed) quota|denied (the )?request|violates PodSecurity|(maximum|minimum) \S+ usage per|is invalid:"
)


@dataclass(frozen=True)
class Trouble:
    """Something in the way. `detail` is the cluster's own words.

    `lasting_after_s` is how long it must stand until waiting won't help: 0 = that is sure at once, None = it may always pass.
    """

    cause: Cause
    lasting_after_s: float | None
    detail: str

    @property
    def grave(self) -> bool:
        """Whether it is lasting, or will be when it stands."""
        return self.lasting_after_s is not None


@dataclass(frozen=True)
class Verdict:
    """`stage` is that of a start (scheduling, pulling, starting); `ready` is the pod that serves."""

    stage: str
    ready: PodView | None
    trouble: Trouble | None


def judge(sight: Sight) -> Verdict:
    """How far the workspace is. The gravest trouble is told: what is sure to last before what may, and that before what may pass.

    None lasts while a server that has served runs: what is wrong with its sidecar or its volume does not end its work.
    """
    pod = sight.pod
    if sight.up and pod is not None and pod.ready:
        return Verdict("ready", pod, None)
    troubles = [trouble for rule in _RULES for trouble in rule(sight)]
    if pod is not None and pod.at_work:
        troubles = [replace(trouble, lasting_after_s=None) for trouble in troubles]
    return Verdict(_stage(pod), None, min(troubles, key=_patience, default=None))


def _patience(trouble: Trouble) -> float:
    return float("inf") if trouble.lasting_after_s is None else trouble.lasting_after_s


def occupied(sight: Sight) -> PodView | None:
    """The pod that may be at work for somebody: one that serves, or that is unready and whose server runs."""
    pod = sight.pod
    return pod if sight.up and pod is not None and (pod.ready or pod.works) else None


def is_broken(pod: PodView) -> bool:
    """Whether a container beside the server crashes again and again."""
    return any(each.waiting == CRASH_LOOP for each in pod.containers if each.name != SERVER)


def _stage(pod: PodView | None) -> str:
    if pod is None or not pod.scheduled:
        return "scheduling"
    server = pod.server
    begun = server is not None and (server.running or server.restarts > 0 or bool(server.ended))
    return "starting" if begun else "pulling"


def _no_pod_can_be_made(sight: Sight) -> Iterator[Trouble]:
    failure = sight.deployment.failure if sight.deployment is not None else ""
    if "exceeded quota" in failure:
        # The wording of the API server's quota plug-in, which has no code of its own.
        yield Trouble(Cause.QUOTA, lasting_after_s=0, detail=failure)
    elif failure:
        yield Trouble(Cause.REFUSED, lasting_after_s=0 if _BY_A_RULE.search(failure) else STANDS_S, detail=failure)


def _no_node(sight: Sight) -> Iterator[Trouble]:
    pod = sight.pod
    if pod is not None and pod.unschedulable:
        yield Trouble(_cause_of_no_node(pod.unschedulable), lasting_after_s=None, detail=pod.unschedulable)


def _cause_of_no_node(message: str) -> Cause:
    """The scheduler has no codes: its plug-ins' words differ by release, also in capitals."""
    said = message.lower()
    if any(words in said for words in ELSEWHERE):
        return Cause.STORAGE_ELSEWHERE
    return Cause.STORAGE_PENDING if "persistentvolumeclaim" in said else Cause.NO_ROOM


def _storage(sight: Sight) -> Iterator[Trouble]:
    volume, pod = sight.volume, sight.pod
    if volume is not None and volume.phase == "Lost":
        yield Trouble(Cause.STORAGE_LOST, lasting_after_s=0, detail=f"PersistentVolumeClaim {volume.name} is Lost")
    for each in sight.warnings:
        detail = f"{each.reason}: {each.message}"
        if volume is not None and each.about == volume.uid and volume.phase == "Pending":
            yield Trouble(Cause.STORAGE_PENDING, lasting_after_s=None, detail=detail)
        # Of a pod that has come up since it is no longer true.
        if pod is None or each.about != pod.uid or _stage(pod) == "starting":
            continue
        if each.reason == "FailedAttachVolume" and "Multi-Attach" in each.message:
            yield Trouble(Cause.STORAGE_BUSY, lasting_after_s=None, detail=detail)
        elif each.reason == SANDBOX_FAILS or (each.reason == MOUNT_FAILS and is_of_another_volume(each.message)):
            yield Trouble(Cause.CONTAINER, lasting_after_s=None, detail=detail)
        elif each.reason in {"FailedAttachVolume", MOUNT_FAILS}:
            yield Trouble(Cause.STORAGE_FAILED, lasting_after_s=None, detail=detail)


def is_of_another_volume(message: str) -> bool:
    """Whether a mount fails that is none of the user's data, of whose volume the kubelet tells by a name of the cluster's."""
    unmounted = _UNMOUNTED.search(message)
    names = unmounted[1].replace(",", " ").split() if unmounted is not None else _FOR_VOLUME.findall(message)
    return bool(names) and OTHER_VOLUMES.issuperset(names)


def _containers(sight: Sight) -> Iterator[Trouble]:
    for container in sight.pod.containers if sight.pod is not None else ():
        yield from troubles_of(container)


def troubles_of(container: ContainerView) -> Iterator[Trouble]:
    """What one container shows of itself."""
    yield from _image(container)
    yield from _end(container)


def _image(container: ContainerView) -> Iterator[Trouble]:
    detail = f"{container.name}: {container.waiting}: {container.message}"
    if container.waiting in WRONG_IMAGE:
        yield Trouble(Cause.IMAGE_NAME, lasting_after_s=0, detail=detail)
    elif container.waiting in {PULL_FAILS, PULL_FAILED}:
        yield Trouble(Cause.IMAGE_PULL, STANDS_S if container.waiting == PULL_FAILED else None, detail=detail)
    elif container.waiting in CANNOT_BE_MADE:
        after_s = 0 if container.restarts >= SURE_RESTARTS else STANDS_S
        yield Trouble(Cause.CONTAINER, lasting_after_s=after_s, detail=detail)


def _end(container: ContainerView) -> Iterator[Trouble]:
    # The last end of one that runs again is over: it is told for as long as the pod lives.
    if container.running:
        return
    if container.ended == OUT_OF_MEMORY and container.name == SERVER:
        yield Trouble(Cause.OUT_OF_MEMORY, lasting_after_s=0, detail=f"{container.name}: OOMKilled")
    elif container.waiting == CRASH_LOOP:
        detail = f"{container.name}: exit code {container.exit_code}, {container.restarts} restarts"
        yield Trouble(Cause.CRASHED, lasting_after_s=0, detail=detail)
    elif container.ended and container.exit_code:
        detail = f"{container.name}: {container.ended}, exit code {container.exit_code}"
        yield Trouble(Cause.CRASHED, lasting_after_s=None, detail=detail)


def _node(sight: Sight) -> Iterator[Trouble]:
    pod = sight.pod
    if pod is not None and pod.stranded:
        yield Trouble(Cause.NODE_AWAY, lasting_after_s=None, detail=f"nothing is heard of the node of {pod.name}")


def _put_out(sight: Sight) -> Iterator[Trouble]:
    gone = put_out(sight.pods[-1:])
    if gone is not None:
        yield gone


def put_out(pods: Sequence[PodView]) -> Trouble | None:
    """Why the newest of these pods that its node did not keep, or take, had to go; such pods stay until they are cleared away."""
    for pod in reversed(pods):
        # Without a reason it has ended because it was told to: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
        if pod.phase == "Failed" and pod.reason:
            cause = _cause_of_a_failed(pod.reason)
            return Trouble(cause, lasting_after_s=None, detail=f"{pod.reason}: {pod.message}".rstrip(": "))
    return None


def _cause_of_a_failed(reason: str) -> Cause:
    if reason in {EVICTED, PREEMPTED}:
        return Cause.EVICTED
    if reason in SHUT_DOWN:
        return Cause.NODE_AWAY
    return Cause.NO_ROOM if reason.startswith(NO_ROOM_AFTER_ALL) else Cause.CONTAINER


_RULES: tuple[Callable[[Sight], Iterator[Trouble]], ...] = (
    _no_pod_can_be_made,
    _containers,
    _storage,
    _no_node,
    _node,
    _put_out,
)
