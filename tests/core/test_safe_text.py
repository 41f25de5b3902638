"""Nothing that a terminal would obey, or that hides, gets through; and documents get text they may hold."""

from __future__ import annotations

import random
import re
import time
import unicodedata

import pytest

from themis.core.codec import encode_document
from themis.core.safe_text import LIMIT, safe_line, safe_text, storable, storable_value

OBEYED = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f"  # controls, but for newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional
    "\u2028\u2029\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def random_text(chance: random.Random, length: int) -> str:
    ranges = [(0, 0x20), (0x7F, 0xA0), (0x20, 0x7F), (0x2000, 0x2070), (0xD800, 0xE000), (0xE0000, 0xE0080)]
    ranges += [(0, 0x110000), (0xFFF0, 0x10000)]
    return "".join(chr(chance.randrange(*chance.choice(ranges))) for _ in range(length))


@pytest.mark.parametrize("seed", range(30))
def test_nothing_obeyed_is_left(seed: int) -> None:
    text = random_text(random.Random(seed), 2_000)
    shown = safe_text(text)
    assert not OBEYED.search(shown)
    assert "\n" not in safe_line(text)
    assert not OBEYED.search(safe_line(text))
    shown.encode("utf-8")


def test_every_character_there_is() -> None:
    text = "".join(map(chr, range(0x110000)))
    shown = safe_text(text, len(text))
    assert not OBEYED.search(shown)
    assert {unicodedata.category(each) for each in set(shown) - {"\n"}}.isdisjoint({"Cc", "Cs"})


@pytest.mark.parametrize("seed", range(10))
def test_made_safe_twice_is_made_safe_once(seed: int) -> None:
    text = safe_text(random_text(random.Random(seed), 2_000))
    assert safe_text(text) == text
    assert safe_line(safe_line(text)) == safe_line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;cm0=\x07", "␛]52;c;cm0=␇"),
        ("\x9b31m", "\ufffd31m"),
        ("a\rb", "a␍b"),
        ("a\r\nb", "a␍\nb"),
        ("\x00\x7f", "␀␡"),
        ("e" + "\u0301" * 5_000 + "f", "e" + "\u0301" * 8 + "\ufffdf"),
        ("👩\u200d👩\u200d👧\ufe0f", "👩\u200d👩\u200d👧\ufe0f"),
        ("user\u202etxt.exe", "user\ufffdtxt.exe"),
        ("a\u2028b\u2029c", "a\nb\nc"),
        ("\ud800", "\ufffd"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("é 漢 👨‍👩‍👧", "é 漢 👨‍👩‍👧"),
        ("\tx", "    x"),
        ("ab\tx\ncd\ty", "ab  x\ncd  y"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert safe_text(text) == shown


def test_a_line_shows_its_newlines() -> None:
    assert safe_line("a\nb\u2028c") == "a⏎b⏎c"


def test_a_cut_is_marked() -> None:
    assert safe_text("abcdef", 3) == "abc…"
    assert safe_text("abc", 3) == "abc"
    assert len(safe_text("x" * (LIMIT + 5))) == LIMIT + 1
    assert safe_line("y" * 2_000) == "y" * 1_000 + "…"


def test_what_is_no_text_is_shown_as_python_says_it() -> None:
    assert safe_text(3.5) == "3.5"
    assert safe_text(None) == "None"
    assert safe_text(ValueError("\x1b[2J")) == "␛[2J"


def test_a_megabyte_is_fast() -> None:
    hostile = "\x1b[31m\t\u202eé" * 150_000
    started = time.process_time()
    safe_text(hostile, len(hostile))
    # Some 0.1 s here; the bound is for slow machines and tells linear from quadratic.
    assert time.process_time() - started < 2


def test_text_for_documents_holds_neither_nul_nor_halves() -> None:
    assert storable("a\x00b\ud800c😀") == "a\ufffdb\ufffdc😀"
    plain = "plain \x1b é"
    assert storable(plain) is plain or storable(plain) == plain


@pytest.mark.parametrize("seed", range(20))
def test_any_value_can_be_made_a_document(seed: int) -> None:
    chance = random.Random(seed)
    value = {
        random_text(chance, 5): [random_text(chance, 5), {random_text(chance, 3): [1, None, 2.5, True]}]
        for _ in range(10)
    }
    mended = storable_value(value)
    encode_document(mended)
    assert storable_value(mended) == mended
    assert storable_value(["x", 1, None]) == ["x", 1, None]
