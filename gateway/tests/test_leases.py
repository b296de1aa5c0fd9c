"""A lease lives as long as it is renewed. Source: DESIGN section 2."""

import threading

import psycopg
import pytest

from gateway import leases
from gateway.db import conninfo
from gateway.leases import Lease
from gateway.models import WorkerLease

pytestmark = pytest.mark.django_db(transaction=True)


def run_out(lease: Lease) -> None:
    with psycopg.connect(conninfo(), autocommit=True) as conn:
        conn.execute(
            "UPDATE worker_leases SET expires_at = clock_timestamp() - interval '1 s' WHERE id = %s", (lease.id,)
        )


def test_a_lease_is_renewed_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_EVERY_S", 0.02)
    lease = Lease("test")
    lease.acquire()
    first = WorkerLease.objects.get(id=lease.id).expires_at
    renewed = threading.Event()
    while not renewed.wait(0.01):
        if WorkerLease.objects.get(id=lease.id).expires_at > first:
            renewed.set()

    lease.release()

    assert not WorkerLease.objects.filter(id=lease.id).exists()


def test_a_lease_that_ran_out_is_never_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_EVERY_S", 0.05)
    lease, told = Lease("test"), threading.Event()
    lease.on_lost(told.set)
    lease.acquire()

    run_out(lease)

    assert told.wait(60)
    assert lease.lost.is_set()
