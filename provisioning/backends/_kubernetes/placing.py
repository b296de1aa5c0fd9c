"""Put a workspace's objects in place: create what is missing, scale up what sleeps, join what runs."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from provisioning.backends import Spec
from provisioning.backends._kubernetes.causes import failure_of_cause
from provisioning.backends._kubernetes.cluster import Cluster, Sight
from provisioning.backends._kubernetes.errors import ApiFailed, Conflict, Missing, Refused
from provisioning.backends._kubernetes.kinds import BY_NAME, DEPLOYMENTS, VOLUMES
from provisioning.backends._kubernetes.manifests import (
    DEMAND,
    ENDED,
    IDLE,
    ORPHANED,
    USER,
    Manifests,
    manifests,
    service_manifest,
    user_digest,
)
from provisioning.backends._kubernetes.templates import Tree
from provisioning.backends._kubernetes.values import size
from provisioning.backends._kubernetes.views import DeploymentView, VolumeView, read_deployment, read_volume
from provisioning.errors import ADVICE, Cause, WorkspaceFailed
from provisioning.rows import ClaimLost

# What `kubectl rollout restart` writes: a change of the pod's template, so that the controller makes a new pod.
RESTARTED = "kubectl.kubernetes.io/restartedAt"
# Between a look at a volume and the write: a volume is written to when it is bound and when it has grown.
GROW_TRIES = 3
# The same of a Deployment, of which its controller writes the status after each change.
PLACE_TRIES = 5
# The version of no object, as the first that is written has another: with it an apply creates, and changes nothing that is there.
# https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go
NO_VERSION = "1"

# All that is known of a workspace that was deleted under a start: what a watch has told of it is of the time before.
NOTHING = Sight(deployment=None, service=None, volume=None, account=None, pods=(), warnings=())

log = structlog.get_logger(__name__)


async def _unclaimed() -> None:
    """Nobody else can act on the workspace."""


@dataclass
class Placing:
    """One placing of a workspace; `demand` is the mark that it leaves on the Deployment, as no other start does.

    `woke` is whether a pod is wanted because of it: that it has joined what runs makes it nobody's to end. It says so too where
    a write was tried of which no answer came; with the mark on the Deployment that write was done. `confirm` raises ClaimLost
    when the workspace is somebody else's by now, who may be erasing it.
    """

    cluster: Cluster
    spec: Spec
    demand: str
    woke: bool = False
    confirm: Callable[[], Awaitable[None]] = _unclaimed

    async def place(self, *, restart: bool) -> None:
        """Have a pod wanted for the workspace, with all that it needs; with `restart` a new one.

        First of all 4 calls, of one that sleeps or runs 1. Raises WorkspaceFailed for another's object of that name and for
        a volume that is gone, ApiFailed, and what `confirm` raises.
        """
        sight = self.cluster.look(self.spec.name)
        _require_ours(sight, self.spec)
        for _ in range(PLACE_TRIES):
            if await self._placed_all(sight, restart=restart):
                return
            # Deleted since it was seen, maybe with the data: all is made anew, the volume first.
            await self.confirm()
            sight = NOTHING
        raise WorkspaceFailed(Cause.STOPPED, detail="deleted by somebody else, again and again")

    async def _placed_all(self, sight: Sight, *, restart: bool) -> bool:
        """Have each object in place; False when the Deployment was deleted meanwhile."""
        if sight.volume is None and sight.deployment is not None:
            sight = replace(sight, volume=await self._volume_of_one_that_was())
        wanted = manifests(self.spec)
        if sight.account is None:
            await self._apply(wanted.account)
        known = sight.volume or await self._volume_of_another(wanted.volume)
        if known is not None:
            await grow(self.cluster, known, wanted.volume)
        uid = await self._deployment(sight.deployment, wanted, restart=restart)
        if uid and (sight.service is None or sight.service.deleting):
            await self._apply(service_manifest(self.spec, owner_uid=uid))
        return bool(uid)

    async def _volume_of_another(self, wanted: Tree) -> VolumeView | None:
        """Create the volume, or find the one, maybe larger, that we have not heard of. Raises WorkspaceFailed."""
        new = _only_if(NO_VERSION, wanted)
        try:
            self._noted(await self.cluster.api.apply(new))
        except Conflict:
            found = await self._volume_of_one_that_was()
            if found is None:
                # Deleted since: without one its Deployment would pass for one that has lost its data.
                self._noted(await self.cluster.api.apply(new))
            return found
        return None

    async def _volume_of_one_that_was(self) -> VolumeView | None:
        """The volume, if our watch does not show it yet; None when the Deployment is gone too. Raises WorkspaceFailed.

        A volume is made before its Deployment: where that is alone, data were there. To start empty is not ours to decide.
        """
        try:
            tree = await self.cluster.api.get(VOLUMES, self.spec.name)
        except Missing as error:
            live = await self._live()
            if live is None or live.deleting:
                return None
            raise failure_of_cause(Cause.STORAGE_LOST, str(error)) from error
        if not _is_of(tree["metadata"].get("annotations") or {}, self.spec):
            raise _taken(tree["kind"], self.spec.name)
        self.cluster.note(tree)
        return read_volume(tree)

    async def _deployment(self, found: DeploymentView | None, wanted: Manifests, *, restart: bool) -> str:
        """Create it or wake it only if it is as it was seen: what somebody else has created or woken since is joined as it is.

        Its uid; "" when it was deleted since it was seen.
        """
        for _ in range(PLACE_TRIES):
            created, joins = found is None, found is not None and found.replicas > 0
            self.woke = restart or not joins
            try:
                return self._noted(await self._placed(found, wanted, restart=restart))
            except Missing:
                if found is None:
                    raise
                return ""
            except Conflict as error:
                conflict = error
            found = await self._live()
            if found is None:
                return ""
            if found.replicas > 0 and not joins:
                if found.demand == self.demand:
                    return await self._unheard(found.uid, created=created)
                restart = False
        raise conflict

    async def _unheard(self, uid: str, *, created: bool) -> str:
        """What a call of ours did that was sent again, since its answer was lost; as if it had been heard."""
        if created:
            await self._confirm_created(uid)
        return uid

    async def _confirm_created(self, uid: str) -> None:
        """Take the new Deployment back if the claim was lost before: an erasure that did not see it does not delete it."""
        try:
            await self.confirm()
        except ClaimLost:
            try:
                await self._take_back(uid)
            except (ApiFailed, WorkspaceFailed) as error:
                # Reconciling finds a Deployment that no row knows.
                log.warning("workspace_not_taken_back", workspace=self.spec.name, error=str(error))
            raise

    async def _take_back(self, uid: str) -> None:
        """Delete the Deployment, unless somebody has marked it since. Raises ApiFailed, WorkspaceFailed."""
        for _ in range(PLACE_TRIES):
            live = await self._live()
            if live is None or (live.uid, live.demand) != (uid, self.demand):
                return
            # Its controller may write to it.
            with suppress(Conflict):
                await self.cluster.api.delete(DEPLOYMENTS, live.name, uid=uid, version=live.version)
                return

    async def _placed(self, found: DeploymentView | None, wanted: Manifests, *, restart: bool) -> Tree:
        if found is None:
            created = await self.cluster.api.apply(_only_if(NO_VERSION, self._marked(wanted.deployment)))
            await self._confirm_created(str(created["metadata"]["uid"]))
            return created
        asleep = found.replicas == 0
        if (restart and found.template != wanted.template) or (asleep and _is_outdated(found, wanted)):
            # By force: of one that sleeps, the sidecar owns the scale by now. A new pod may as well be of the new template.
            return await self.cluster.api.apply(_only_if(found.version, self._marked(wanted.deployment)), force=True)
        change = self._joining(found, restart=restart)
        return await self.cluster.api.patch(
            DEPLOYMENTS, self.spec.name, _only_if(found.version, change) if found.replicas == 0 else change
        )

    def _joining(self, found: DeploymentView, *, restart: bool) -> Tree:
        # Also of one that seems to run: its sidecar may have stopped it in this moment.
        change: Tree = {"metadata": {"annotations": {DEMAND: self.demand}}, "spec": {"replicas": 1}}
        change["metadata"]["annotations"] |= _corrections(found, self.spec)
        if restart:
            change["spec"]["template"] = {"metadata": {"annotations": {RESTARTED: self.demand}}}
        return change

    async def _live(self) -> DeploymentView | None:
        """The Deployment as it is now. Raises WorkspaceFailed for another's."""
        try:
            tree = await self.cluster.api.get(DEPLOYMENTS, self.spec.name)
        except Missing:
            return None
        live = read_deployment(tree)
        if live is None or live.user != user_digest(self.spec.user_id):
            raise _taken(tree["kind"], self.spec.name)
        self.cluster.note(tree)
        return live

    def _marked(self, tree: Tree) -> Tree:
        annotations = tree["metadata"]["annotations"] | {DEMAND: self.demand}
        return tree | {"metadata": tree["metadata"] | {"annotations": annotations}}

    async def _apply(self, tree: Tree) -> str:
        try:
            answer = await self.cluster.api.apply(tree)
        except (Conflict, Refused) as error:
            # Somebody has made it, or changed it, since we looked: another gateway, or a person.
            await self._require_not_taken(tree)
            if isinstance(error, Refused):
                raise
            answer = await self.cluster.api.apply(tree, force=True)
        return self._noted(answer)

    def _noted(self, answer: Tree) -> str:
        self.cluster.note(answer)
        return str(answer["metadata"]["uid"])

    async def _require_not_taken(self, tree: Tree) -> None:
        try:
            found = await self.cluster.api.get(BY_NAME[tree["kind"]], tree["metadata"]["name"])
        except Missing:
            return
        if not _is_of(found["metadata"].get("annotations") or {}, self.spec):
            raise _taken(tree["kind"], self.spec.name)


async def grow(cluster: Cluster, volume: VolumeView, wanted: Tree) -> None:
    """Let a volume grow to what the licence gives now, and change nothing else of it; it never shrinks.

    A class that can't expand hinders no start, and one that somebody writes to all the time grows at a later one.
    """
    storage = wanted["spec"]["resources"]["requests"]["storage"]
    seen: VolumeView | None = volume
    try:
        for _ in range(GROW_TRIES):
            if seen is None or not _is_smaller(seen.storage, storage):
                return
            try:
                await _ask_for(cluster, seen, storage)
            except Conflict:
                # Its controller may have written its status, or another gateway has asked for more.
                seen = read_volume(await cluster.api.get(VOLUMES, volume.name))
                continue
            log.info("workspace_volume_grows", workspace=volume.workspace, storage=storage)
            return
        log.warning("workspace_volume_not_grown", workspace=volume.workspace, error="it changes all the time")
    except (Refused, Missing) as error:
        log.warning("workspace_volume_not_grown", workspace=volume.workspace, error=str(error))


async def _ask_for(cluster: Cluster, seen: VolumeView, storage: str) -> None:
    change: Tree = {
        "metadata": {"resourceVersion": seen.version},
        "spec": {"resources": {"requests": {"storage": storage}}},
    }
    cluster.note(await cluster.api.patch(VOLUMES, seen.name, change))


def _is_outdated(found: DeploymentView, wanted: Manifests) -> bool:
    return (found.template, found.release) != (wanted.template, wanted.release)


def _only_if(version: str, tree: Tree) -> Tree:
    """The same, to be written only while the object has that version."""
    return tree | {"metadata": tree["metadata"] | {"resourceVersion": version}}


def _corrections(found: DeploymentView, spec: Spec) -> dict[str, str | None]:
    """The annotations that say of a Deployment what a start makes untrue; None takes one away."""
    marks = ((ORPHANED, found.orphaned), (ENDED, found.ended))
    corrected: dict[str, str | None] = {annotation: None for annotation, value in marks if value}
    if found.replicas == 0 and found.idle_s != spec.idle_s:
        # It was lowered in the last pod; the next one is made from the template.
        corrected[IDLE] = str(spec.idle_s)
    return corrected


def _require_ours(sight: Sight, spec: Spec) -> None:
    digest = user_digest(spec.user_id)
    for each in sight.objects:
        if each.user != digest:
            raise _taken(type(each).__name__.removesuffix("View"), spec.name)


def _is_of(annotations: Mapping[str, str], spec: Spec) -> bool:
    return annotations.get(USER) == user_digest(spec.user_id)


def _taken(kind: str, name: str) -> WorkspaceFailed:
    return WorkspaceFailed(Cause.NAME_TAKEN, detail=f"{ADVICE[Cause.NAME_TAKEN]} {kind} {name}")


def _is_smaller(storage: str, wanted: str) -> bool:
    """Whether it is; one in units that licences don't have is left alone."""
    try:
        return size(storage) < size(wanted)
    except (KeyError, ValueError):
        return False
