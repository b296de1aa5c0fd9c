"""A certificate authority of the test's own, and certificates of it: for 127.0.0.1, and for clients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Certificates:
    """PEM files: of the authority, and of the server."""

    ca: Path
    certificate: Path
    key: Path
    authority: ec.EllipticCurvePrivateKey

    @classmethod
    def made_in(cls, folder: Path) -> "Certificates":
        """Make new ones there, good for a day."""
        authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        made = cls(folder / "ca.crt", folder / "server.crt", folder / "server.key", authority)
        root = _builder(_named("cluster-ca"), authority.public_key())
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        # Python 3.13 checks strictly and wants this in an authority.
        root = root.add_extension(_authority_usage(), critical=True)
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")])
        leaf = _builder(_named("kube-apiserver"), key.public_key()).add_extension(names, critical=False)
        made.ca.write_bytes(made._signed(root))
        made.certificate.write_bytes(made._signed(leaf.add_extension(made._issuer(), critical=False)))
        made.key.write_bytes(_pem(key))
        return made

    def of_client(self, user: str, groups: Sequence[str]) -> tuple[bytes, bytes]:
        """A certificate and its key, as PEM: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates"""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        leaf = _builder(_named(user, groups), key.public_key()).add_extension(usage, critical=False)
        return self._signed(leaf.add_extension(self._issuer(), critical=False)), _pem(key)

    def _issuer(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key())

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self.authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def subject_of(certificate: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The user and the groups of a client's certificate, as `ssl` gives it."""
    parts = [part for relative in certificate.get("subject", ()) for part in relative]
    names = [value for name, value in parts if name == "commonName"]
    return names[0] if names else "", [value for name, value in parts if name == "organizationName"]


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _named(name: str, groups: Sequence[str] = ()) -> x509.Name:
    parts = [(NameOID.ORGANIZATION_NAME, group) for group in groups] + [(NameOID.COMMON_NAME, name)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=_named("cluster-ca"),
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(hours=1),
        not_valid_after=now + timedelta(days=1),
    )
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _authority_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
