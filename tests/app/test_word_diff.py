"""In which words two texts differ."""

from __future__ import annotations

import random
import time

import pytest

from themis.compare.word_diff import MOST_WORDS
from themis_tui.widgets.reader import Passage, _marked
from themis_tui.word_diff import differing


def words(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("one", "other", "only_one", "only_other"),
    [
        ("", "", [], []),
        ("the same", "the same", [], []),
        ("16 - 3 = 13 eggs", "16 - 3 - 4 = 9 eggs", ["13"], ["- 4", "9"]),
        ("Gina", "Ivan", ["Gina"], ["Ivan"]),
        ("", "more", [], ["more"]),
        ("begins alike ends alike", "begins alike and ends alike", [], ["and"]),
        ("a b c d", "a x y d", ["b c"], ["x y"]),
        ("漢字 text", "漢語 text", ["漢字"], ["漢語"]),
    ],
)
def test_words_that_the_other_has_not(one, other, only_one, only_other):
    first, second = differing(one, other)
    assert words(one, first) == only_one
    assert words(other, second) == only_other


def test_the_time_is_bounded():
    chance = random.Random(1)
    few, many = ([f"w{chance.randrange(kinds)}" for kinds in [40] * MOST_WORDS] for _ in range(2))
    started = time.process_time()
    differing(" ".join(few), " ".join(many))
    long = " ".join(str(chance.random()) for _ in range(100_000))
    assert differing("ab" + long, "ac" + long[:-9]) == ([(1, len(long) + 2)], [(1, len(long) - 7)])
    assert differing(long, long) == ([], [])
    assert time.process_time() - started < 10.0


def test_marks_fall_on_their_words_when_lines_are_wrapped():
    text = "one two three four"
    passage = Passage(text, marks=((4, 13),))
    made = list(_marked(["one two ", "three four"], 0, passage))
    assert made == [
        [("one ", "plain"), ("two ", "mark")],
        [("three", "mark"), (" four", "plain")],
    ]
    assert "".join(piece for row in made for piece, _ in row) == text
