"""The keys that workspaces in a cluster trust are those of the gateways' setting.

Source: DESIGN, section 7: a workspace holds public keys, one or more PEMs; docs/operations.md, Rotate keys.
"""

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from provisioning.backends._kubernetes.cluster import close_cluster, cluster
from provisioning.backends._kubernetes.keys import publish_keys
from provisioning.backends._kubernetes.kinds import CONFIGMAPS
from provisioning.backends._kubernetes.manifests import KEYS
from provisioning.tests.bed import Bed
from provisioning.tests.cluster import Plan, Trouble
from provisioning.tests.drift_states import NAME, USER, reconcile
from provisioning.tests.gateways import licence_of, until
from provisioning.tests.test_tokens import pem_of
from provisioning.workspaces import ensure_workspace

OLD, NEW = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def public(*keys: Ed25519PrivateKey) -> str:
    return "".join(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for key in keys
    )


async def trusted_after_a_start(settings: Any, *keys: Ed25519PrivateKey) -> str:
    """What workspaces are told once a gateway with these keys has begun."""
    settings.WORKSPACE_SIGNING_KEY = "".join(map(pem_of, keys))
    found = await cluster()
    await publish_keys(found)
    told: str = (await found.api.get(CONFIGMAPS, KEYS))["data"]["public.pem"]
    await close_cluster()
    return told


@pytest.mark.django_db(transaction=True)
async def test_a_successor_is_trusted_before_it_signs_and_a_key_taken_out_no_more(bed: Bed, settings: Any) -> None:
    assert await trusted_after_a_start(settings, OLD) == public(OLD)
    assert await trusted_after_a_start(settings, OLD, NEW) == public(OLD, NEW)
    # The other order is the same trust: gateways of both releases do not write it to and fro.
    assert await trusted_after_a_start(settings, NEW, OLD) == public(OLD, NEW)
    assert await trusted_after_a_start(settings, NEW) == public(NEW)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("lease", "users")
async def test_keys_that_somebody_has_deleted_are_published_once_a_pod_misses_them(bed: Bed) -> None:
    """Source: they are published once by a process, which may live for months."""
    await ensure_workspace(licence_of("demo-free"))
    bed.cluster.delete("configmaps", KEYS)
    missing = f'MountVolume.SetUp failed for volume "keys" : configmap "{KEYS}" not found'
    bed.cluster.plan(NAME, Plan(Trouble.MOUNT, message=missing))
    starting = asyncio.create_task(ensure_workspace(licence_of(USER)))

    async def told() -> bool:
        return any(each.workspace == NAME for each in (await cluster()).warnings.all())

    await until(told)
    await reconcile(dry_run=True)
    assert KEYS not in bed.cluster.names("configmaps")
    await reconcile()
    assert KEYS in bed.cluster.names("configmaps")

    bed.cluster.journal.clear()
    await reconcile()
    assert bed.cluster.journal.of(resource="configmaps") == []
    bed.cluster.plans.clear(NAME)
    bed.cluster.advance(60)
    await starting
