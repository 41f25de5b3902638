"""Bytes from a terminal, however they are cut."""

from __future__ import annotations

import pytest

from themis_tui.incoming import Incoming


def fed(data: bytes, size: int) -> str:
    incoming = Incoming()
    return "".join(incoming.decode(data[at : at + size]) for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"abc", "abc"),
        (b"\x1b[A\x1b", "\x1b[A\x1b"),
        ("ü❤️".encode(), "ü❤️"),
        (b"caf\xe9 \xff!", "caf\ufffd \ufffd!"),
        (b"\x1b[200~one\x1b[201~two", "\x1b[200~one\x1b[201~two"),
        (b"\x1b[200~\x1b[15~\x1b[201~\x1b[15~", "\x1b[200~␛[15~\x1b[201~\x1b[15~"),
        (b"\x1b[200~\x1b\x1b[201\x1b[201~x", "\x1b[200~␛␛[201\x1b[201~x"),
        (b"\x1b\x1b[200~\x1b[200~\x1b[201~\x1b[201~", "\x1b\x1b[200~␛[200~\x1b[201~\x1b[201~"),
        (b"\x1b[200~a\x1b[201~\x1b[200~\x1bb\x1b[201~\x1b", "\x1b[200~a\x1b[201~\x1b[200~␛b\x1b[201~\x1b"),
    ],
)
def test_a_paste_is_text_and_a_strange_byte_a_sign(sent, read, size):
    assert fed(sent, size) == read


def test_a_key_is_never_held_back():
    incoming = Incoming()
    assert [incoming.decode(bytes([byte])) for byte in b"\x1b[200"] == list("\x1b[200")
