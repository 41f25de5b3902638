"""Two texts word by word."""

from __future__ import annotations

import random
import time

import pytest

from themis.compare.word_diff import ADDED, MOST_WORDS, REMOVED, SAME, Piece, marked, word_diff


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("It is 12.", "It is 120.", "It is [-12-]{+120+}."),
        ("same", "same", "same"),
        ("", "new", "{+new+}"),
        ("old", "", "[-old-]"),
        ("", "", ""),
        ("a b c", "a c", "a [-b -]c"),
    ],
)
def test_what_changed(before, after, expected):
    assert marked(word_diff(before, after)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_both_texts_can_be_read_from_it(seed):
    chance = random.Random(seed)
    before, after = ("".join(chance.choices("ab \n.ü{}", k=chance.randrange(200))) for _ in range(2))
    pieces = word_diff(before, after)
    assert "".join(text for kind, text in pieces if kind != ADDED) == before
    assert "".join(text for kind, text in pieces if kind != REMOVED) == after


def test_long_texts_take_no_time():
    before, after = ("x y " * 100_000, "z w " * 100_000)
    started = time.process_time()
    pieces = word_diff(before, after)
    assert time.process_time() - started < 5
    assert "".join(text for kind, text in pieces if kind != ADDED) == before
    tail = "b c " * MOST_WORDS
    assert word_diff(f"a {tail}", f"d {tail}") == [
        Piece(REMOVED, "a "),
        Piece(ADDED, "d "),
        Piece(SAME, tail),
    ]
