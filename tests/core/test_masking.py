"""What counts as a password, and how secrets are kept out of texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from themis.core import masking
from themis.core.masking import holds_password, keep_secret, masked


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What is kept here is kept from no other test."""
    before = set(masking._secrets), masking._forms
    yield
    masking._secrets.clear()
    masking._secrets.update(before[0])
    masking._forms = before[1]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p@h/d",
        "postgresql://u:pa/ss@h/d",
        "postgresql://u:pa@ss@h/d",
        "postgresql://h/d?sslpassword=abc",
        "host=h PASSWORD = 'a b'",
        "s3://AK:SE/CRET@bucket",
        "aws_secret_access_key=abc",
        "my-api-key=abc",
        "https://h/v1?api_key=abc",
        "https://h/v1?key=abc",
        "https://h/v1?a=b&sig=abc",
    ],
)
def test_a_password_in_an_address_is_seen(address: str) -> None:
    assert holds_password(address)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u@h:5432/d",
        "http://h:8080/a@b",
        "http://[::1]:80/a@b",
        "postgres?password=env:PG",
        "s3://bucket/prefix?profile=x&max_tokens=5",
        "openai:m?base_url=https://h/v1&key=keyring:a/b",
        "/data/keys=all",
    ],
)
def test_what_is_no_password_is_none(address: str) -> None:
    assert not holds_password(address)


def test_a_secret_is_masked_however_it_is_written() -> None:
    secret = 'p@ss/wo"rd+1 é'
    keep_secret(secret)
    for form in (secret, json.dumps(secret), quote(secret, safe=""), quote(secret), quote_plus(secret)):
        assert masked(f"<{form}>").strip('<>"') == "***", form


def test_the_password_of_an_address_is_masked_alone_too() -> None:
    keep_secret("postgresql://u:first-one@h/d?options=a@b")
    assert masked("login with first-one failed") == "login with *** failed"


def test_a_short_secret_is_masked_as_a_word_only() -> None:
    keep_secret("test")
    assert masked("password test; user=test, latest tests test_1") == (
        "password ***; user=***, latest tests ***_1"
    )
    keep_secret("ab")
    assert masked("ab") == "ab"
