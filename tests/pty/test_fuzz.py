"""Texts made to be obeyed, through every screen of the app: no sequence of theirs reaches the terminal."""

from __future__ import annotations

import os
import unicodedata

import pytest

from tests.pty.hostile import PAYLOAD, World, harmless_texts, hostile_texts
from tests.pty.terminals import PtyTerminal
from tests.pty.visit import SIZE, visit

ANSWERS_WITHIN_S = 20.0
"""Far more than a key takes; a machine that tests run on may be busy."""


def looked_at(world: World, pastes: list[str], allowed: frozenset[str] | None) -> PtyTerminal:
    world.save()
    with PtyTerminal(size=SIZE, keep=False) as terminal:
        terminal.allowed = allowed
        visit(terminal, world, pastes=pastes, answers_within_s=ANSWERS_WITHIN_S)
        terminal.press("q")
        assert terminal.ended() == 0
    return terminal


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(("count", "new"), [(200, 1), pytest.param(10_000, 4, marks=pytest.mark.long)])
def test_no_sequence_of_a_text_reaches_the_terminal(count, new, tmp_path, monkeypatch):
    seed = int(os.environ.get("THEMIS_FUZZ_SEED", "1"))
    monkeypatch.setenv("THEMIS_DATA_DIR", str(tmp_path / "harmless"))
    learned = looked_at(World(harmless_texts(4)), harmless_texts(3), None)
    assert not learned.faults
    monkeypatch.setenv("THEMIS_DATA_DIR", str(tmp_path / "hostile"))
    texts = hostile_texts(seed, count)
    world = World(texts, new=new)
    seen = looked_at(world, texts[: min(100, count // 20)], frozenset(learned.shapes))
    assert seen.faults == []
    assert not [shape for shape in seen.shapes if PAYLOAD in shape]
    # Once by each y and Y; never by a text.
    assert len(seen.clipboard) == 2 + len(world.opened)
    copied = "".join(seen.clipboard).replace("\n", "")
    assert not {each for each in copied if unicodedata.category(each) in ("Cc", "Cs")}
