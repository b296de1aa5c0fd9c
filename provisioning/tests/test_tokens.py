"""Tokens for workspaces: the claims of DESIGN, section 7, and a signing key that processes agree on."""

import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from provisioning import tokens

# RFC 8037, appendix A.1 and A.3: a private key and the thumbprint of its public half.
RFC_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def pem_of(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_token_has_the_contracts_claims_and_lives_a_minute_at_most(data_dir: Path) -> None:
    token = tokens.workspace_token("demo-pro")

    key = tokens.signing_key()
    claims = jwt.decode(token, key.public_pem, algorithms=["EdDSA"], audience="dexorder-workspace")
    assert claims["iss"] == "dexorder-gateway"
    assert claims["sub"] == "demo-pro"
    assert claims["jti"]
    assert claims["exp"] - claims["iat"] == 60
    assert claims["iat"] < time.time() < claims["exp"] - 30
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "typ": "JWT", "kid": key.kid}


def test_the_kid_is_the_keys_rfc_7638_thumbprint() -> None:
    assert tokens.thumbprint(Ed25519PrivateKey.from_private_bytes(RFC_SEED)) == RFC_THUMBPRINT


def test_a_token_is_signed_once_for_a_while_and_for_one_user(data_dir: Path) -> None:
    assert tokens.workspace_token("demo-pro") == tokens.workspace_token("demo-pro")
    assert tokens.workspace_token("demo-pro") != tokens.workspace_token("demo-free")


def test_the_development_key_is_the_owners_alone_and_stays(data_dir: Path) -> None:
    first = tokens.signing_key().kid
    tokens.forget_tokens()

    assert tokens.signing_key().kid == first
    assert (data_dir / tokens.PRIVATE_FILE).stat().st_mode & 0o777 == 0o600


def test_the_public_file_holds_the_public_half_only(data_dir: Path) -> None:
    path = tokens.public_key_file()

    assert path.read_bytes() == tokens.signing_key().public_pem
    assert b"PRIVATE" not in path.read_bytes()


def test_a_new_key_replaces_the_public_file(data_dir: Path, settings: Settings) -> None:
    before = tokens.public_key_file().read_bytes()
    settings.WORKSPACE_SIGNING_KEY = pem_of(Ed25519PrivateKey.generate())

    assert tokens.public_key_file().read_bytes() == tokens.signing_key().public_pem != before


def test_of_several_keys_the_first_signs_and_all_are_trusted(data_dir: Path, settings: Settings) -> None:
    """So that a key can be changed: known to workspaces first, used then."""
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    settings.WORKSPACE_SIGNING_KEY = pem_of(old) + pem_of(new)

    public = tokens.public_key_file().read_bytes()
    assert tokens.signing_key().kid == tokens.thumbprint(old)
    assert public == b"".join(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in (old, new)
    )


def test_racing_processes_end_with_one_key(data_dir: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from django.conf import settings;"
        "settings.configure(DEBUG=True, WORKSPACE_SIGNING_KEY='', DATA_DIR=Path(sys.argv[1]));"
        "from provisioning import tokens; print(tokens.signing_key().kid)"
    )
    racing = [
        subprocess.Popen([sys.executable, "-c", program, str(data_dir)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    kids = {process.communicate()[0].strip() for process in racing}

    assert len(kids) == 1
    assert [path.name for path in data_dir.iterdir()] == [tokens.PRIVATE_FILE]


def test_without_a_key_production_refuses(data_dir: Path, settings: Settings) -> None:
    settings.DEBUG = False

    with pytest.raises(ImproperlyConfigured, match="WORKSPACE_SIGNING_KEY"):
        tokens.workspace_token("demo-pro")


@pytest.mark.parametrize("kind", ["no pem", "another kind of key"])
def test_an_unusable_key_is_refused_in_words(kind: str, settings: Settings) -> None:
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    settings.WORKSPACE_SIGNING_KEY = "no pem" if kind == "no pem" else other

    with pytest.raises(ImproperlyConfigured, match="signing key"):
        tokens.signing_key()
