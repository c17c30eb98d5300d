"""Logging in with a key pair, in each form in which a key may be given."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from snowflake_loader.authentication import login
from snowflake_loader.errors import LoadError
from snowflake_loader.testing import Load, Run, record, schema, state

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.testing import Warehouse

PASSPHRASE = "open sesame"
PKCS8 = serialization.PrivateFormat.PKCS8


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey, passphrase: str | None = None) -> str:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, PKCS8, encryption).decode()


def der(key: rsa.RSAPrivateKey) -> str:
    raw = key.private_bytes(serialization.Encoding.DER, PKCS8, serialization.NoEncryption())
    return base64.b64encode(raw).decode()


@pytest.fixture
def forms(key: rsa.RSAPrivateKey, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The same key as settings, in every way the README allows."""
    path = tmp_path / "key.p8"
    path.write_text(pem(key, PASSPHRASE))
    return {
        "a PEM": {"private_key": pem(key)},
        "a PEM whose line breaks an environment spoiled": {
            "private_key": pem(key).replace("\n", "\\n")
        },
        "base64 of DER": {"private_key": der(key)},
        "an encrypted file": {"private_key_path": str(path), "private_key_passphrase": PASSPHRASE},
    }


def test_every_form_of_a_key_gives_the_same_key(
    forms: dict[str, dict[str, Any]], key: rsa.RSAPrivateKey
) -> None:
    expected = base64.b64decode(der(key))

    assert {name: login(config)["private_key"] == expected for name, config in forms.items()} == (
        dict.fromkeys(forms, True)
    )


def let_in(warehouse: Warehouse, key: rsa.RSAPrivateKey) -> None:
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (warehouse.service.keys_folder / "loader.pub").write_bytes(public)


def test_a_load_logs_in_with_its_key(
    warehouse: Warehouse, load: Load, key: rsa.RSAPrivateKey, forms: dict[str, dict[str, Any]]
) -> None:
    let_in(warehouse, key)

    load([schema(), record(id=1)], password=None, **forms["an encrypted file"])

    assert len(warehouse.query(f'SELECT * FROM "{warehouse.schema}".ITEMS')) == 1


def test_a_key_the_server_does_not_know_is_refused_with_advice(load: Load) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    with pytest.raises(LoadError, match="Check `user`, `account`, the private key"):
        load([schema(), record(id=1)], password=None, private_key=pem(other))


@pytest.mark.parametrize(
    "config",
    [
        {"private_key": "-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----"},
        {"private_key": base64.b64encode(b"not a key").decode()},
    ],
)
def test_a_broken_key_is_a_sentence_without_the_key(config: dict[str, Any]) -> None:
    with pytest.raises(LoadError, match="could not be read: it must be PKCS#8") as raised:
        login(config)

    assert config["private_key"] not in str(raised.value)


def test_oauth_and_browser_are_passed_on() -> None:
    assert login({"oauth_access_token": "t"}) == {"authenticator": "oauth", "token": "t"}
    assert login({"use_browser_authentication": True}) == {"authenticator": "externalbrowser"}


@pytest.mark.parametrize("is_let_in", [True, False])
@pytest.mark.parametrize("way", ["password", "oauth_access_token", "private_key"])
def test_secrets_stand_nowhere(
    warehouse: Warehouse,
    run_command: Run,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    is_let_in: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """In no output, log, state, ledger or statement, whether the log-in succeeds or not."""
    monkeypatch.setenv("TARGET_SNOWFLAKE_LOGLEVEL", "DEBUG")
    secret = f"secret{uuid4().hex}"
    settings, secrets = {way: secret}, [secret]
    if way == "private_key":
        own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        settings = {way: pem(own, secret), "private_key_passphrase": secret}
        secrets += [line for text in (settings[way], der(own)) for line in pieces(text)]
        if is_let_in:
            let_in(warehouse, own)
    elif is_let_in:
        (warehouse.service.keys_folder / "loader.secret").write_text(secret)

    sent = [schema(), record(id=1), record(id="bad"), state(items=1)]
    done = run_command(sent, on_bad_record="quarantine", **{"password": None, **settings})

    assert done.code == (0 if is_let_in else 1), done.log
    assert "Traceback" not in done.log
    assert ("Check" in done.log) != is_let_in
    kept = [warehouse.statements()]
    if is_let_in:
        tables = ("_LOADS", "_REJECTED", "ITEMS")
        kept += [warehouse.query(f'SELECT * FROM "{warehouse.schema}".{t}') for t in tables]
        assert all(kept)
    seen = done.log + json.dumps([done.states, *kept], default=str)
    assert [found for found in secrets if found in seen] == []


def pieces(key: str) -> list[str]:
    """Parts of a key, none of which may be seen; the first and last are alike in all keys."""
    body = "".join(line for line in key.splitlines() if not line.startswith("-----"))
    return [body[start : start + 32] for start in range(64, len(body) - 64, 32)]
