"""Who looks after a process reaches it by a pod's address.

Source: kubernetes.io/docs, Liveness, readiness and startup probes: the host of an httpGet is the pod's IP.
"""

from typing import Any

import pytest
from django.test import Client

POD = {"host": "10.1.2.3:3000"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/health/live", "/health", "/metrics"])
def test_a_probe_is_answered_by_whatever_address_it_comes(client: Client, settings: Any, path: str) -> None:
    settings.ALLOWED_HOSTS = ["gateway.example"]

    assert client.get(path, headers=POD).status_code in {200, 503}


@pytest.mark.parametrize("path", ["/", "/signin/", "/api/v1/me", "/healthy", "/health/live/x"])
def test_nobody_else_is_answered_under_a_host_that_is_not_ours(client: Client, settings: Any, path: str) -> None:
    settings.ALLOWED_HOSTS = ["gateway.example"]

    assert client.get(path, headers=POD).status_code == 400
