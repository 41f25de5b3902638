"""Numbers as people read them."""

from __future__ import annotations

import pytest

from themis_tui import figures, glyphs


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (0.1421, ".142"), (1, "1.000"), (0, ".000"), (12.34, "12.3"), (-0.5, "-0.500")],
)
def test_scores(value, said):
    assert figures.score(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (0.02, "20ms"),
        (0.9999, "1.0s"),
        (4.14, "4.1s"),
        (59.7, "1m 00s"),
        (842, "14m 02s"),
        (3_599.9, "1h 00m"),
        (7_500, "2h 05m"),
        (200_000, "2d 07h"),
    ],
)
def test_durations(value, said):
    assert figures.seconds(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (-3, "now"),
        (0.5, "now"),
        (42, "42s"),
        (240, "4m"),
        (7_300, "2h"),
        (260_000, "3d"),
        (3e6, "4w"),
    ],
)
def test_ages(value, said):
    assert figures.age(value) == said


def test_counts_and_parts():
    assert figures.count(1319) == "1,319"
    assert figures.count(412_000) == "412k"
    assert figures.done_of(812, 1319) == "812/1,319"
    assert figures.done_of(20, 20) == "20"
    assert figures.eta([181, 239]) == "3m–4m"
    assert figures.eta([10.1, 10.2]) == "10s"
    assert figures.rate(0.1) == "6.0/min"


def test_bars_and_lines_keep_their_width():
    full, empty = figures.bar(1, 3, 30)
    assert (len(full), len(empty)) == (10, 20)
    assert figures.bar(5, None, 4) == ("", figures.EMPTY * 4)
    assert figures.sparkline([0, 1, 2, 4], 3) == "▃▅█"
    assert figures.sparkline([], 3) == ""
    drawn = figures.interval(0.5, 0.25, 0.75, 21)
    assert "".join(drawn) == "─────├────●────┤─────"
    assert drawn[1] == "├────●────┤"
    assert figures.interval(5.0, 4.0, 6.0, 21) == ("", "", "")
    assert figures.brief(812) == "812"
    assert figures.brief(1_319) == "1.3k"
    assert figures.brief(412_345) == "412k"


def test_every_sign_has_an_ascii_twin(monkeypatch):
    signs = "".join([*glyphs.STATUS.values(), *glyphs.VERDICT.values(), glyphs.SPARKS, "├┤±…–·▌◆‹─━⏎×"])
    twin = glyphs.drawn(signs, True)
    assert twin.isascii()
    assert "?" not in twin
    assert len(twin) == len(signs)
    assert glyphs.drawn("漢", True) == "?"
    monkeypatch.setenv("THEMIS_ASCII", "1")
    assert glyphs.ascii_wanted()


def test_a_difference_is_drawn_on_a_scale_with_none_in_its_middle():
    assert figures.difference(0.5, 0.25, 0.75, 1.0, 17) == ("────────┼─", "├─●─┤", "──")
    assert figures.difference(-0.5, -1.0, 0.5, 1.0, 9) == ("", "├─●─┼─┤", "──")
    assert figures.difference(0.0, 0.0, 0.0, 1.0, 9) == ("────", "●", "────")
    assert figures.difference(5.0, 4.0, 6.0, 1.0, 9) == ("────┼───", "●", ""), (
        "what lies beyond is at the end"
    )
    assert figures.difference(None, None, None, 1.0, 9) == ("", "", "")
    assert figures.difference(0.1, 0.0, 0.2, 0.0, 9) == ("", "", "")
    assert len("".join(figures.difference(0.1, 0.0, 0.2, 1.0, 12))) == 11
    assert figures.signed(0.035) == "+.035"
    assert figures.signed(-0.0351) == "-.035"
    assert figures.signed(None) == figures.NONE
