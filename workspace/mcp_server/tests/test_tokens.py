"""Who is let in: only the gateway, for this user, within a minute."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.errors import UnusableKeys
from mcp_server.tests.harness import USER, RunningServer, claims, pem_of, post, signed
from mcp_server.tokens import KeyRing, TokenRefused, Verifier, thumbprint

KEY = Ed25519PrivateKey.generate()
STRANGER = Ed25519PrivateKey.generate()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with the gateway's public key."""
    path = tmp_path / "gateway.pem"
    path.write_bytes(pem_of(KEY))
    return path


@pytest.fixture
def verifier(key_file: Path) -> Verifier:
    return Verifier(KeyRing(key_file), user=USER)


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def forged(header: dict[str, object], key: Ed25519PrivateKey) -> str:
    """A token whose HMAC is keyed with the public key: what a verifier that trusts the header's `alg` lets in."""
    message = f"{encoded(header)}.{encoded(claims())}"
    mac = hmac.new(pem_of(key), message.encode(), hashlib.sha256).digest()
    return f"{message}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_a_token_as_the_gateway_signs_it_is_let_in(verifier: Verifier) -> None:
    verifier.check(signed(KEY))
    verifier.check(jwt.encode(claims(), KEY, algorithm="EdDSA", headers={"kid": thumbprint(KEY.public_key())}))


def test_the_key_id_is_the_thumbprint_of_rfc_8037() -> None:
    """Source: RFC 8037, appendix A.3: this key has this thumbprint."""
    raw = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")

    key = Ed25519PublicKey.from_public_bytes(raw)

    assert thumbprint(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


NOW = int(time.time())

REFUSED: dict[str, Any] = {
    "expired": {"exp": NOW - 1, "iat": NOW - 50},
    "expires too late": {"exp": NOW + 3600},
    "lives longer than a minute": {"iat": NOW - 3600},
    "issued in the future": {"iat": NOW + 3600, "exp": NOW + 3650},
    "another user": {"sub": "stranger"},
    "user in another case": {"sub": USER.upper()},
    "another audience": {"aud": "dexorder-api"},
    "several audiences": {"aud": ["dexorder-workspace", "dexorder-api"]},
    "another issuer": {"iss": "https://issuer.example"},
    "times as text": {"exp": str(NOW + 30)},
    "times as truth values": {"iat": True},
    "endless time": {"exp": float("inf")},
    "no time": {"exp": float("nan")},
    "a time of 401 digits": {"exp": 10**400},
    "a time of 401 digits from a time of as many": {"exp": 10**400, "iat": -(10**400)},
    **{f"without {name}": {name: None} for name in ("iss", "aud", "sub", "iat", "jti", "exp")},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED.keys())
def test_a_signed_token_with_other_claims_is_refused(verifier: Verifier, changes: dict[str, object]) -> None:
    with pytest.raises(TokenRefused):
        verifier.check(signed(KEY, **changes))


FORGED = {
    "signed by a stranger": signed(STRANGER),
    "stranger under our key id": jwt.encode(
        claims(), STRANGER, algorithm="EdDSA", headers={"kid": thumbprint(KEY.public_key())}
    ),
    "unknown key id": jwt.encode(claims(), KEY, algorithm="EdDSA", headers={"kid": "other"}),
    "key id that is no text": f"{encoded({'alg': 'EdDSA', 'kid': [1]})}.{encoded(claims())}.AAAA",
    "alg none": f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(claims())}.",
    "alg None": f"{encoded({'alg': 'None', 'typ': 'JWT'})}.{encoded(claims())}.",
    "HS256 with the public key": forged({"alg": "HS256", "typ": "JWT"}, KEY),
    "ES256": jwt.encode(claims(), generate_private_key(SECP256R1()), algorithm="ES256"),
    "unsigned": signed(KEY).rpartition(".")[0] + ".",
    "too long": signed(KEY, padding="x" * 5000),
    "deeply nested": f"{base64.urlsafe_b64encode(b'[' * 3000).decode()}.e30.AAAA",
    "empty": "",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
def test_a_forged_token_is_refused(verifier: Verifier, token: str) -> None:
    with pytest.raises(TokenRefused):
        verifier.check(token)


@pytest.mark.parametrize(
    "token", [*filter(None, FORGED.values()), signed(KEY, sub="stranger"), signed(KEY, exp=NOW - 1)]
)
def test_every_refusal_over_http_is_the_same_401(server: RunningServer, token: str) -> None:
    """Source: a refusal tells an attacker nothing."""
    answer = post(f"{server.url}/mcp", headers={"Authorization": f"Bearer {token}"}, json={})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="dexorder-workspace"'
    assert answer.json() == {
        "error": {"code": "unauthorized", "message": "A valid gateway token for this workspace is required."}
    }


def test_a_request_without_a_single_bearer_token_is_refused(server: RunningServer) -> None:
    token = server.bearer()["Authorization"]
    for headers in (
        [],
        [("Authorization", token.replace("Bearer", "Basic"))],
        [("Authorization", token), ("Authorization", token)],
        [("X-Authorization", token)],
    ):
        assert post(f"{server.url}/mcp", headers=headers, json={}).status_code == 401
    assert post(f"{server.url}/mcp?access_token={token.removeprefix('Bearer ')}", json={}).status_code == 401


@pytest.mark.parametrize(
    "header", [{"crit": ["dexorder"], "dexorder": 1}, {"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": "exp"}]
)
def test_a_token_with_a_critical_header_that_is_unknown_is_refused(verifier: Verifier, header: dict[str, Any]) -> None:
    """Source: RFC 7515, 4.1.11."""
    with pytest.raises(TokenRefused):
        verifier.check(jwt.encode(claims(), KEY, algorithm="EdDSA", headers=header))


def test_a_token_is_refused_before_it_is_valid(verifier: Verifier) -> None:
    with pytest.raises(TokenRefused):
        verifier.check(signed(KEY, nbf=NOW + 3600))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), NOW, NOW + 30])
    | st.floats()
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
strange_claims = st.dictionaries(
    st.sampled_from(["iss", "aud", "sub", "iat", "jti", "exp", "nbf", "other"]), json_values, min_size=1
)


@given(strange_claims)
def test_no_claims_do_worse_than_be_refused(changes: dict[str, Any]) -> None:
    """Even what is signed by the right key is parsed with care."""
    token = signed_as_they_are({**claims(), **changes})

    try:
        Verifier(OneKey(), user=USER).check(token)
    except TokenRefused:
        return
    assert {**claims(), **changes}["sub"] == USER


def signed_as_they_are(payload: object) -> str:
    """A token over any JSON, also such that no library would sign."""
    message = f"{encoded({'alg': 'EdDSA', 'typ': 'JWT'})}.{encoded(payload)}"
    return f"{message}.{base64.urlsafe_b64encode(KEY.sign(message.encode())).rstrip(b'=').decode()}"


@pytest.mark.parametrize("payload", [[], "text", None, 1, [claims()]])
def test_a_signed_payload_that_is_no_object_is_refused(payload: object) -> None:
    with pytest.raises(TokenRefused):
        Verifier(OneKey(), user=USER).check(signed_as_they_are(payload))


class OneKey(KeyRing):
    """The gateway's key without a file."""

    def __init__(self) -> None:
        """No file."""

    def keys(self) -> dict[str, Ed25519PublicKey]:
        return {"a": KEY.public_key()}


parts = st.one_of(
    st.text(alphabet=st.characters(max_codepoint=127), max_size=40),
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "exp"]), st.integers() | st.text()).map(
        encoded
    ),
)


@settings(max_examples=300)
@given(st.lists(parts, max_size=5).map(".".join))
def test_no_token_does_worse_than_be_refused(token: str) -> None:
    with pytest.raises(TokenRefused):
        Verifier(OneKey(), user=USER).check(token)


def test_a_rotated_key_is_taken_up_without_a_restart(key_file: Path) -> None:
    verifier = Verifier(KeyRing(key_file), user=USER)
    new = Ed25519PrivateKey.generate()

    replace(key_file, pem_of(KEY, new))
    verifier.check(signed(KEY))
    verifier.check(signed(new))

    replace(key_file, pem_of(new))
    verifier.check(signed(new))
    with pytest.raises(TokenRefused):
        verifier.check(signed(KEY))


def test_the_last_good_keys_stay_in_force_while_the_file_is_broken(key_file: Path) -> None:
    verifier = Verifier(KeyRing(key_file), user=USER)

    replace(key_file, b"half a file")
    verifier.check(signed(KEY))
    key_file.unlink()
    verifier.check(signed(KEY))

    replace(key_file, pem_of(STRANGER))
    verifier.check(signed(STRANGER))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["empty", "damaged", "a private key", "not Ed25519"],
)
def test_a_file_without_a_usable_key_is_refused_at_start(key_file: Path, content: bytes) -> None:
    key_file.write_bytes(content)

    with pytest.raises(UnusableKeys):
        KeyRing(key_file)


def replace(path: Path, content: bytes) -> None:
    """Put a new file in place of the old one, as a rotation does."""
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
