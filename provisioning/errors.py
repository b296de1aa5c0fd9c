"""Why there is no workspace, as a code for programs and a sentence for the user."""

from enum import StrEnum


class Cause(StrEnum):
    """What went wrong."""

    EXITED = "exited"
    NEVER_READY = "never_ready"
    NOT_INSTALLED = "not_installed"
    NOT_ALLOWED = "not_allowed"
    INVALID_USER = "invalid_user"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting_down"
    DATABASE = "database"
    INTERNAL = "internal"
    # What only a cluster can be short of, or say.
    QUEUE = "queue"
    NOT_PLACED = "not_placed"
    SLOW_PULL = "slow_pull"
    NO_NAMESPACE = "no_namespace"
    NO_ROOM = "no_room"
    QUOTA = "quota"
    STORAGE_QUOTA = "storage_quota"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    UNKNOWN_TO_CLUSTER = "unknown_to_cluster"
    NAME_TAKEN = "name_taken"
    CLUSTER_AWAY = "cluster_away"
    IMAGE_NAME = "image_name"
    IMAGE_PULL = "image_pull"
    CONTAINER = "container"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    EVICTED = "evicted"
    NODE_AWAY = "node_away"
    DENIED = "denied"
    STORAGE_PENDING = "storage_pending"
    STORAGE_BUSY = "storage_busy"
    STORAGE_FAILED = "storage_failed"
    STORAGE_LOST = "storage_lost"
    STORAGE_ELSEWHERE = "storage_elsewhere"


# For the user: what it means for them and what to do.
MESSAGES: dict[Cause, str] = {
    Cause.EXITED: "Your workspace stopped while it was starting. Please try again; if it happens again, tell support.",
    Cause.NEVER_READY: "Your workspace did not become ready in time. Please try again in a minute.",
    Cause.NOT_INSTALLED: "Workspaces can't start here: a part of the installation is missing. Please tell the operator.",
    Cause.NOT_ALLOWED: "Your account points at a tool server that is not allowed here. Please tell support.",
    Cause.INVALID_USER: "This account's name can't be used for a workspace.",
    Cause.STOPPED: "Your workspace was stopped before it was ready.",
    Cause.SHUTTING_DOWN: "The service is restarting. Please try again in a moment.",
    Cause.DATABASE: "Your workspace could not be started: the service can't reach its database. Please try again soon.",
    Cause.INTERNAL: "Your workspace could not be started because of an error on our side. Please try again.",
    Cause.QUEUE: "Too many workspaces are starting at once. Please try again in a few minutes.",
    Cause.NOT_PLACED: "Your workspace was not given a machine in time. Please try again in a few minutes.",
    Cause.SLOW_PULL: "Fetching your workspace's software takes too long. Please try again in a few minutes.",
    Cause.NO_NAMESPACE: "Workspaces can't start here: the cluster is not prepared for them. Please tell the operator.",
    Cause.NO_ROOM: "There is no free machine for your workspace right now. Please try again in a few minutes.",
    Cause.QUOTA: "As many workspaces run as this service may have at once. Please try again in a few minutes.",
    Cause.STORAGE_QUOTA: "There is no storage left for your workspace. Please tell the operator.",
    Cause.REFUSED: "Your workspace was refused by the cluster's rules. Please tell support.",
    Cause.FORBIDDEN: "The service may not start workspaces on its cluster. Please tell the operator.",
    Cause.UNKNOWN_TO_CLUSTER: "The cluster that runs workspaces does not recognise this service. Please tell the operator.",
    Cause.NAME_TAKEN: "Something else has your workspace's name on the cluster. Please tell support.",
    Cause.CLUSTER_AWAY: "The cluster that runs workspaces can't be reached. Please try again in a minute.",
    Cause.IMAGE_NAME: "Your workspace's software has a wrong address. Please tell the operator.",
    Cause.IMAGE_PULL: "Your workspace's software can't be fetched. Please try again in a few minutes, or tell the operator.",
    Cause.CONTAINER: "Your workspace could not be set up on its machine. Please tell the operator.",
    Cause.CRASHED: "Your workspace crashes whenever it starts. Please tell support.",
    Cause.OUT_OF_MEMORY: "Your workspace needs more memory than your licence gives it. Please tell support.",
    Cause.EVICTED: "Your workspace had to leave its machine, which was short of something. Please try again in a minute.",
    Cause.NODE_AWAY: (
        "The machine that your workspace runs on does not answer. It is moved to another one, which takes some minutes."
        " Please try again then."
    ),
    Cause.DENIED: "Your workspace runs, and does not recognise this service. Please try again in a minute, or tell the operator.",
    Cause.STORAGE_PENDING: "The storage for your data is not there yet. Please try again in a few minutes.",
    Cause.STORAGE_BUSY: "Your data are still attached to the machine you used before. Please try again in a few minutes.",
    Cause.STORAGE_FAILED: "Your data could not be attached to your workspace. Please try again in a few minutes.",
    Cause.STORAGE_LOST: "The storage with your data can't be found. Please tell support at once; nothing was deleted by us.",
    Cause.STORAGE_ELSEWHERE: "The machines that your data can be used on are full or away. Please try again in a few minutes.",
}

# For the operator: where to look. Shown before what the cluster said.
ADVICE: dict[Cause, str] = {
    Cause.QUEUE: "The line of starts did not move: look at how fast the API server takes writes (STARTS_AT_ONCE a process).",
    Cause.NOT_PLACED: "No pod, or no node for it, and nobody says why: look at the controller manager and the scheduler.",
    Cause.SLOW_PULL: "The image is still being pulled: look at its size, the registry and the node's network.",
    Cause.NO_NAMESPACE: "The namespace KUBERNETES_NAMESPACE is not there: apply `workspace render --namespace`.",
    Cause.NO_ROOM: "No node takes the pod: add nodes, or lower the requests in WORKSPACE_VALUES.",
    Cause.QUOTA: "The namespace's ResourceQuota is used up: raise it, or let idle workspaces stop sooner.",
    Cause.STORAGE_QUOTA: (
        "The namespace's ResourceQuota gives no more storage: raise requests.storage, or delete data past their term"
        " (`reconcile_workspaces` lists them)."
    ),
    Cause.REFUSED: "The API server or an admission rule refuses the objects: compare with `workspace render`.",
    Cause.FORBIDDEN: "The gateway's service account lacks a right: apply `workspace render --namespace`.",
    Cause.UNKNOWN_TO_CLUSTER: "The API server does not know our credentials: look at KUBECONFIG, its plugin or token's file.",
    Cause.NAME_TAKEN: (
        "An object of that name is not this user's: rename or remove it. A restored volume takes what"
        " `workspace render USER --volume` prints: it may hold their data."
    ),
    Cause.CLUSTER_AWAY: "The API server can't be reached, or fails: look at KUBECONFIG, network and control plane.",
    Cause.IMAGE_NAME: "WORKSPACE_IMAGE or SIDECAR_IMAGE is no image's name.",
    Cause.IMAGE_PULL: "The image can't be pulled: look at its name, the registry and its credentials (image_pull_secrets).",
    Cause.CONTAINER: "The kubelet can't make the container: look at ConfigMap, mounts and runtime class.",
    Cause.CRASHED: "The container ends again and again: look at its log by `kubectl logs --previous`.",
    Cause.OUT_OF_MEMORY: "The container was killed for its memory: raise the licence's memory limit.",
    Cause.EVICTED: "The node was short of memory or disk: look at its conditions.",
    Cause.NODE_AWAY: "The pod's node is not heard of, or is shut down: look at it; its pods are replaced after 5 minutes.",
    Cause.DENIED: "The server refuses our token: compare WORKSPACE_SIGNING_KEY with `dexorder-workspace-keys`, and the clocks.",
    Cause.STORAGE_PENDING: "The PersistentVolumeClaim is not bound: look at its storage class and its provisioner.",
    Cause.STORAGE_BUSY: "The volume is attached to another node: a pod there must end, or its node be removed.",
    Cause.STORAGE_FAILED: "The volume can't be attached or mounted: look at the pod's events.",
    Cause.STORAGE_ELSEWHERE: "The volume is bound to a zone or node that takes no pod: add nodes there, or move the volume.",
    Cause.STORAGE_LOST: "The PersistentVolume behind the claim is gone: restore it from a backup.",
}


def meanwhile(cause: Cause) -> str:
    """What the user is told while the start goes on in spite of it: what it is, and no advice for when it has failed."""
    what, _, _ = MESSAGES[cause].partition(". ")
    return f"{what.rstrip('.')}. Still trying…"


def cause_of(text: str) -> Cause:
    """The cause that a row names; one that only another release knows is internal."""
    return Cause(text) if text in set(Cause) else Cause.INTERNAL


class WorkspaceFailed(Exception):
    """The workspace can't be used; `message` is written for the user.

    `detail` (a few words) and `output` (what the workspace last printed) are for the operator only.
    """

    def __init__(self, cause: Cause, *, detail: str = "", output: str = "") -> None:
        self.cause = cause
        self.message = MESSAGES[cause]
        self.detail = detail
        self.output = output
        super().__init__(self.message)
