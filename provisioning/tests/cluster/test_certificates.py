"""Who shows a client certificate: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates"""

import ssl
from pathlib import Path

import httpx
import pytest

from provisioning.tests.cluster import Cluster, served
from provisioning.tests.cluster.certificates import Certificates
from provisioning.tests.cluster.wire import DEPLOYMENTS, Access, Wire, access_by, access_to


def test_a_certificates_common_name_is_the_user_and_its_organizations_are_the_groups(tmp_path: Path) -> None:
    with served(Cluster(), tmp_path, tls=True) as api:
        codes = []
        for kubeconfig in (api.kubeconfig_by_certificate(), api.kubeconfig_by_certificate("jane", ["traders"])):
            wire = Wire(access_by(kubeconfig))
            codes.append(wire.send("GET", DEPLOYMENTS).status_code)
            wire.close()
        refused = [call.user for call in api.cluster.journal.calls if call.code == 403]

    assert (codes, refused) == ([200, 403], ["jane"])


def test_a_token_needs_no_certificate_and_neither_is_refused(tmp_path: Path) -> None:
    with served(Cluster(), tmp_path, tls=True) as api:
        by_token, by_none = Wire(access_to(api)), Wire(access_to(api).by("none"))
        codes = [wire.send("GET", DEPLOYMENTS).status_code for wire in (by_token, by_none)]
        by_token.close()
        by_none.close()

    assert codes == [200, 401]


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    certificate, key = Certificates.made_in(elsewhere).of_client("kubernetes-admin", ["system:masters"])
    (elsewhere / "client.pem").write_bytes(certificate + key)
    with served(Cluster(), tmp_path, tls=True) as api:
        trust = ssl.create_default_context(cafile=api.ca_file)
        trust.load_cert_chain(elsewhere / "client.pem")
        wire = Wire(Access(api.url, trust))
        with pytest.raises(httpx.TransportError):
            wire.send("GET", DEPLOYMENTS)
        wire.close()
