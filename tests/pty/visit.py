"""A person who looks at everything in a store, by keys alone."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.pty.hostile import World
from tests.pty.terminals import PtyTerminal, pasted
from themis_tui.screens.profile_form import LEAVE_TITLE

SIZE = (100, 32)


def visit(terminal: PtyTerminal, world: World, *, pastes: list[str], answers_within_s: float) -> None:
    """Every screen over every text. Each key is answered in time, or it fails."""

    def until(pattern: str) -> None:
        terminal.until(re.compile(pattern, re.MULTILINE | re.DOTALL).search, answers_within_s)

    until(rf"^▌[^\n]*{world.runs[0]}")
    _look_at_list(terminal, world, until)
    _look_at_comparison(terminal, world, until)
    for place, run_id in enumerate(world.opened):
        until(rf"^▌[^\n]*{run_id}")
        terminal.press("enter")
        ids = world.sample_ids(place)
        until(rf"all {len(ids)}.*?^▌  {ids[0]}")
        _look_at_samples(terminal, ids, until)
        terminal.press("l")
        until("── log ")
        terminal.press("G", "pageup", "g", "esc")
        until(rf"all {len(ids)}")
        terminal.press("a")
        until(r"‹ new run[^\n]*(to mend|to ask)")
        terminal.press("esc")
        until(rf"all {len(ids)}")
        terminal.press("esc")
        until(rf"^▌[^\n]*{run_id}")
        terminal.press("j")
    _look_at_profiles(terminal, world, pastes, until)
    _type_strange_things(terminal, pastes, until)
    terminal.press("?")
    until("‹ help")
    terminal.press("G", "esc")
    until(r"\A themis   .* AGE")


def _look_at_list(terminal: PtyTerminal, world: World, until: Callable[[str], None]) -> None:
    for run_id in world.runs[1:]:
        terminal.press("j")
        until(rf"^▌[^\n]*{run_id}")
    terminal.press("D")
    until("Move this run to the trash")
    terminal.press("esc", "e")
    until("Name, tags, notes")
    terminal.press("tab", "tab", "esc")
    until(r"\A(?!.*Name, tags, notes)")
    terminal.press("C")
    until("Copy this run to")
    terminal.press("esc", "y", "Y", "g")
    until(rf"^▌[^\n]*{world.runs[0]}")


def _look_at_comparison(terminal: PtyTerminal, world: World, until: Callable[[str], None]) -> None:
    """The first run with the last, which has its samples too."""
    ids = [each for number, each in enumerate(world.sample_ids(0)) if number % 3 != 2]
    terminal.press(" ", "G")
    until(rf"^▌[^\n]*{world.runs[-1]}")
    terminal.press(" ", "c")
    until(rf"\A ‹ .* verdict .*── flips .*^▌  {ids[0]}")
    terminal.press("2")
    until(r"── flips ─ by tag .*^▌")
    terminal.press("3", "G", "4")
    until("── asked")
    terminal.press("G", "5", "G", "1", "o")
    until(rf"; errors as zero.*^▌  {ids[0]}")
    terminal.press("f", "f", "f", "f", "f")
    until("^[▌ ]  S00002")
    terminal.press("g")
    until(rf"^▌  {ids[0]}.*^   S00002")  # an error counts as zero now, and is among all of them
    terminal.press("enter")
    for number in range(6):
        until(rf"‹ S{number:05}.* {number + 1} of")
        terminal.press("G", "g", "j")
        if number + 1 == len(world.sample_ids(0)):
            break
    terminal.press("esc")
    until(r"\A ‹ .* verdict .*── flips")
    terminal.press("esc")
    until(rf"^▌[^\n]*{world.runs[-1]}")
    terminal.press("g", " ", "G", " ", "g")
    until(rf"^▌[^\n]*{world.runs[0]}")


def _look_at_samples(terminal: PtyTerminal, ids: list[str], until: Callable[[str], None]) -> None:
    terminal.press("f")
    until("wrong|error|No sample")
    terminal.press("f", "f", "G")
    until(rf"^▌  {ids[-1]}")
    terminal.press("g")
    until(rf"^▌  {ids[0]}")
    terminal.press("enter")
    for number, each in enumerate(ids):
        if number:
            terminal.press("G", "j")
        until(rf"‹ {each}.*?P{each[1:]}")
    terminal.press("r")
    until(rf'"id": "{ids[-1]}')
    for each in ids[-2:-5:-1]:
        terminal.press("pagedown", "k")
        until(rf'‹ {each}.*?"id": "{each}')
    terminal.press("y", "esc")
    until(rf"all {len(ids)}")


def _look_at_profiles(
    terminal: PtyTerminal, world: World, texts: list[str], until: Callable[[str], None]
) -> None:
    """Each is tried and looked at in its form; then a new one is typed, and given up."""
    terminal.press("p", "g")
    for number in range(world.profiles):
        if number:
            terminal.press("j")
        until(rf"\A ‹ profiles.*{_UNDER_CURSOR}(not tr|brok)")
        terminal.press("t")
        until(rf"{_UNDER_CURSOR}(reach|answers|\S+ fail|brok)")
        terminal.press("e")
        until(r"\A ‹ edit the .*^   (type|base_url) .* f5 save")
        terminal.press("esc")
    until(r"\A ‹ profiles")
    terminal.press("g", "a")
    until("Add a profile")
    terminal.press("enter")
    until(r"\A ‹ add .*protected")
    for text in texts[:6]:
        terminal.send(pasted(text[:100_000]))
        terminal.press("tab")
    until(r"\A ‹ add [^\n]*to mend")
    terminal.press("esc")
    until(LEAVE_TITLE.replace("?", r"\?"))
    terminal.press("right", "enter")
    until(r"\A ‹ profiles")
    terminal.press("esc")
    until(r"\A themis   .* AGE")


_UNDER_CURSOR = r"─{40}\n[^\n]* "


def _type_strange_things(terminal: PtyTerminal, texts: list[str], until: Callable[[str], None]) -> None:
    """Into the form, the filter and the palette; pasted whole, and typed as far as it is no key."""
    terminal.press("+")
    until("‹ new run")
    for number, text in enumerate(texts):
        terminal.send(pasted(text[:100_000]))
        typed = "".join(each for each in text[:100] if each not in "\ufffd" and ord(each) >= 0xA0)
        terminal.send(typed.encode("utf-8", "ignore").decode())
        terminal.press("tab")
        if number % 5 == 4:
            terminal.press("tab")
    terminal.press("f1")
    until("‹ help")
    terminal.press("esc")
    until("‹ new run")
    terminal.press("esc")
    until(r"\A themis   .* AGE")
    for text in texts[:5]:
        terminal.press("/")
        terminal.send(pasted(f"which {text[:10_000]}"))
        until("^ /( (?!words)|$)")
        terminal.press("esc")
        until(r"\A(?!.*^ /( |$))")
    for text in texts[:5]:
        terminal.press(":")
        until("Search for commands")
        terminal.send(pasted(f"what {text[:1_000]}"))
        until(r"\A(?!.*Search for commands)")
        terminal.press("esc")
        until(r"\A(?!.*▔▔)")
