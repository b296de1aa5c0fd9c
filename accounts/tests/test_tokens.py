"""Who a token proves. Source: DESIGN section 3 and 4, RFC 8725."""

import base64
import hmac
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given
from hypothesis import strategies as st

from accounts import issuer
from accounts.tokens import TokenInvalid, is_user_id, verify_token

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_key(data_dir: Path) -> None:
    """Each test has an issuer of its own."""


def claims(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    base = {
        "iss": issuer.issuer_url(),
        "aud": "dexorder",
        "sub": "demo-pro",
        "iat": now,
        "exp": now + timedelta(hours=1),
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


def sign(
    payload: dict[str, Any], *, algorithm: str = "RS256", headers: dict[str, Any] | None = None, key: Any = None
) -> str:
    kid = issuer.jwks()["keys"][0]["kid"]
    return jwt.encode(payload, key or issuer._key(), algorithm=algorithm, headers={"kid": kid, **(headers or {})})


async def test_a_token_of_the_issuer_proves_its_subject() -> None:
    identity = await verify_token(issuer.issue_token("demo-pro", ttl=timedelta(minutes=5)))

    assert identity.user_id == "demo-pro"
    assert identity.expires_at > datetime.now(UTC)


@pytest.mark.parametrize("missing", ["exp", "iat", "aud", "iss", "sub"])
async def test_a_token_without_a_required_claim_is_refused(missing: str) -> None:
    with pytest.raises(TokenInvalid):
        await verify_token(sign(claims(**{missing: None})))


@pytest.mark.parametrize(
    "change",
    [
        {"exp": datetime.now(UTC) - timedelta(seconds=1)},
        {"iat": datetime.now(UTC) + timedelta(hours=1)},
        {"aud": "someone-else"},
        {"iss": "https://evil.example"},
        {"sub": ""},
        {"sub": "a\0b"},
        {"sub": "x" * 256},
        {"exp": 10**18},
        {"exp": "4102444800"},
        {"exp": float("nan")},
        {"sub": 7},
        {"nbf": datetime.now(UTC) + timedelta(hours=1)},
        {"aud": ["someone", "else"]},
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        await verify_token(sign(claims(**change)))


async def test_an_issuers_clock_may_be_a_moment_ahead() -> None:
    token = sign(claims(iat=datetime.now(UTC) + timedelta(seconds=3), aud=["another", "dexorder"]))

    assert (await verify_token(token)).user_id == "demo-pro"


async def test_an_unsigned_token_is_refused() -> None:
    with pytest.raises(TokenInvalid):
        await verify_token(jwt.encode(claims(), None, algorithm="none"))  # type: ignore[arg-type]


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused() -> None:
    public = (
        issuer._key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    header = {"alg": "HS256", "typ": "JWT", "kid": issuer.jwks()["keys"][0]["kid"]}
    body = claims() | {name: int(claims()[name].timestamp()) for name in ("iat", "exp")}
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, body))
    mac = base64.urlsafe_b64encode(hmac.digest(public, signed, "sha256")).rstrip(b"=")

    with pytest.raises(TokenInvalid):
        await verify_token((signed + b"." + mac).decode())


@pytest.mark.parametrize("header", ["jku", "x5u", "x5c", "jwk", "crit"])
async def test_a_header_that_says_where_the_key_is_is_refused(header: str) -> None:
    with pytest.raises(TokenInvalid):
        await verify_token(sign(claims(), headers={header: "https://evil.example"}))


async def test_a_token_of_another_key_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    with pytest.raises(TokenInvalid):
        await verify_token(sign(claims(), key=stranger))


async def test_without_debug_no_token_of_the_development_issuer_is_valid(settings: Any) -> None:
    token = issuer.issue_token("demo-pro")
    settings.DEBUG = False

    with pytest.raises(TokenInvalid):
        await verify_token(token)
    with pytest.raises(issuer.IssuerOff):
        issuer.issue_token("demo-pro")


@given(st.text(max_size=200) | st.text('ey.J0-_{}"', max_size=9000))
async def test_what_is_no_token_is_refused_whatever_it_is(token: str) -> None:
    with pytest.raises(TokenInvalid):
        await verify_token(token)


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "b64", "crit"]),
        st.none() | st.integers() | st.text() | st.lists(st.text()),
    )
)
async def test_a_header_of_any_kind_never_breaks_the_verifier(header: dict[str, Any]) -> None:
    parts = [json.dumps(header), json.dumps({"sub": "demo-pro"})]
    token = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts) + ".c2ln"

    with pytest.raises(TokenInvalid):
        await verify_token(token)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_HEADER_NAMES = ["alg", "kid", "typ", "cty", "b64", "crit", "jku", "x5u", "x5c", "jwk", "x5t", "enc", "zip", "nonce"]


@given(st.dictionaries(st.sampled_from(_HEADER_NAMES) | st.text(max_size=8), _JSON, max_size=4))
async def test_a_well_signed_token_is_accepted_under_a_harmless_header_only(more: dict[str, Any]) -> None:
    """Whatever else stands in the header, the signature over it being the issuer's own."""
    kid = issuer.jwks()["keys"][0]["kid"]
    header = {"alg": "RS256", "kid": kid} | more
    now = int(datetime.now(UTC).timestamp())
    payload = claims(iat=now, exp=now + 60)
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, payload))
    signature = issuer._key().sign(signed, padding.PKCS1v15(), hashes.SHA256())
    token = (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()

    try:
        user = (await verify_token(token)).user_id
    except TokenInvalid:
        user = ""

    if header["alg"] != "RS256" or {"jku", "x5u", "x5c", "jwk", "crit"} & header.keys():
        assert user == ""
    if not more.keys() & set(_HEADER_NAMES):
        assert user == "demo-pro"


def test_processes_that_make_the_key_at_once_end_with_one(tmp_path: Path) -> None:
    """Source: the web server, the worker and a command may all be the first to need it."""
    file = tmp_path / "fresh" / "key.pem"
    program = "import sys, pathlib; from accounts.issuer import _load; key = _load(pathlib.Path(sys.argv[1]))"
    report = "; print(key.private_numbers().p)"
    started = [
        subprocess.Popen([sys.executable, "-c", program + report, str(file)], stdout=subprocess.PIPE, cwd=ROOT)
        for _ in range(3)
    ]

    keys = {process.communicate(timeout=60)[0] for process in started}

    assert len(keys) == 1
    assert [process.returncode for process in started] == [0, 0, 0]
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("user", "good"),
    [("demo-pro", True), ("ü@x|y/z", True), ("", False), (" a", False), ("a\n", False), ("\ud800", False)],
    ids=range(6),
)
def test_a_user_id_is_printable_text(user: str, good: bool) -> None:
    assert is_user_id(user) is good
