"""How the pods of a workload fare: how long each step takes, and what goes wrong."""

from dataclasses import dataclass
from enum import Enum


class Trouble(Enum):
    """A way to fail, as the API shows it."""

    UNSCHEDULABLE = "Unschedulable"
    CLAIM_PENDING = "ProvisioningFailed"
    MULTI_ATTACH = "FailedAttachVolume"
    MOUNT = "FailedMount"
    SANDBOX = "FailedCreatePodSandBox"
    IMAGE_PULL = "ImagePullBackOff"
    INVALID_IMAGE = "InvalidImageName"
    CONFIG = "CreateContainerConfigError"
    CRASH_LOOP = "CrashLoopBackOff"
    OOM_KILLED = "OOMKilled"
    NEVER_READY = "Unhealthy"
    EVICTED = "Evicted"
    RESIZE_INFEASIBLE = "PodResizePending"


@dataclass
class Plan:
    """One workload's fate; all times by the cluster's clock. `message` replaces the usual text of the trouble.

    `container` is the one that is in trouble, the first that is no init container when it is left empty. With `times` the
    trouble befalls only so many pods.
    """

    trouble: Trouble | None = None
    message: str = ""
    container: str = ""
    exit_code: int = 1
    times: int | None = None
    schedule_s: float = 0.0
    pull_s: float = 0.0
    boot_s: float = 0.0
    stop_s: float = 0.0


class Plans:
    """Plans by the start of the pods' name, so by the name of their Deployment; `usual` for all others."""

    def __init__(self) -> None:
        self.usual = Plan()
        self._by_name: dict[str, Plan] = {}

    def set(self, name: str, plan: Plan) -> None:
        self._by_name[name] = plan

    def clear(self, name: str) -> None:
        """Things go well again; what waits for a retry finds that out at its next one."""
        self._by_name.pop(name, None)

    def of(self, pod: str) -> Plan:
        """The plan with the longest name that the pod's begins with."""
        found = [name for name in self._by_name if pod == name or pod.startswith(f"{name}-")]
        return self._by_name[max(found, key=len)] if found else self.usual

    def befalls(self, pod: str, trouble: Trouble) -> bool:
        """Whether this trouble befalls the pod now; one of its times is used up."""
        plan = self.of(pod)
        if plan.trouble is not trouble or plan.times == 0:
            return False
        if plan.times is not None:
            plan.times -= 1
        return True
