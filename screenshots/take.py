"""Render the pictures beside this file from the real app over a small frozen world.

``python screenshots/take.py [FOLDER] [--size 80x24] [--theme themis-dark]``
"""

from __future__ import annotations

import argparse
import asyncio
import html
import itertools
import os
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

NOW = 1_780_000_000.0
"""When all of this happens: in the night of 28 May 2026."""
DEADLINE_S = 30.0
LARGEST = 300_000

RUNS: tuple[tuple[str, str, float, dict[str, Any]], ...] = (
    ("nightly-0521", "fake-math-llm?accuracy=0.62&seed=4", 7 * 86_400, {"epochs": 3}),
    ("few-shot-0", "fake-math-llm?accuracy=0.7&seed=2", 2.2 * 86_400, {}),
    ("few-shot-4", "fake-math-llm?accuracy=0.85&seed=2", 2.1 * 86_400, {}),
    ("rate-limits", "fake-math-llm?rate_limit_rate=0.15&seed=3", 86_500, {"limit": 80}),
    ("cot-1", "fake-math-llm?error_rate=0.03&seed=1", 19_000, {"epochs": 2}),
    ("cot-2", "fake-math-llm?accuracy=0.93&seed=7", 7_800, {"epochs": 2}),
    ("cot-3-all", "fake-math-llm?accuracy=0.9&error_rate=0.02&seed=9", 252, {"epochs": 11}),
)


COMPARED = ("cot-1", "cot-2", "few-shot-4", "nightly-0521")
"""The first two with each other, then each with each."""


def make_world(root: Path) -> None:
    """Evaluate the demo a few times, then give the runs their places in time."""
    os.environ.update(
        THEMIS_DATA_DIR=str(root / "data"),
        THEMIS_STATE_DIR=str(root / "state"),
        THEMIS_CONFIG_DIR=str(root / ".config" / "themis"),
        HOME=str(root),
        XDG_CACHE_HOME=str(root / "cache"),
        TEXTUAL_ANIMATIONS="none",
        TEXTUAL_COLOR_SYSTEM="truecolor",
        THEMIS_ASCII="0",
        USER="ada",
    )
    for name in ("NO_COLOR", "THEMIS_STORAGE", "TEXTUAL_THEME"):
        os.environ.pop(name, None)
    from themis import evaluate

    for run_id, model, ago, given in RUNS:
        evaluate("demo", model=model, run_id=run_id, executor="sequential", **given)
        _place_in_time(run_id, NOW - ago)


def _place_in_time(run_id: str, began: float) -> None:
    from themis.backends import open_storage

    with open_storage() as store:
        metadata = store.load_run_metadata(run_id)
        took = 0.11 * metadata["summary"]["done"]
        metadata.update(created_at=began, started_at=began, ended_at=began + took, updated_at=began + took)
        metadata["where"].update(host="gpu7", executor="threads")
        metadata["progress"].update(latency_p50_s=0.41, latency_p95_s=1.2, at=began + took)
        metadata["progress"]["executor"].update(name="threads", concurrency=16)
        if run_id == "cot-3-all":
            _make_live(metadata, began)
        if run_id == "rate-limits":
            metadata.update(status="paused", status_reason="interrupted")
            metadata["progress"].update(status="paused", total=120)
            metadata["summary"].update(total=120)
        if run_id == "few-shot-0":
            metadata.update(status="cancelled", status_reason="cancelled by a person")
        store.save_run_metadata(run_id, metadata)
        _steady_records(store, run_id)


def _make_live(metadata: dict[str, Any], began: float) -> None:
    done, total = metadata["summary"]["done"], 2_400
    metadata.update(status="running", ended_at=None, updated_at=NOW, started_at=began)
    metadata["asked"]["epochs"] = 20
    metadata["heartbeat"] = {"seq": 30, "at": NOW - 1, "every_s": 10.0}
    metadata["summary"].update(total=total)
    metadata["progress"].update(
        status="running",
        at=NOW,
        finished_at=NOW,
        total=total,
        done=done,
        in_flight=16,
        rate=5.2,
        eta_s=[181.0, 239.0],
        history=[2.2, 3.4, 4.1, 4.9, 5.6, 5.2, 5.8, 6.1, 4.0, 3.1, 4.8, 5.3, 5.5, 5.9, 5.7, 5.1, 5.4, 5.2],
    )
    metadata["progress"]["executor"].update(workers=16, running=16, queued=0)


def _steady_records(store: Any, run_id: str) -> None:
    """Latencies that are the same at each taking."""
    from themis.core.entities import GenerationRecord

    steady: list[GenerationRecord] = []
    for number, record in enumerate(store.load_generation_records(run_id)):
        spent = 0.3 + number * 37 % 90 / 100
        record.timing = {"started_at": NOW, "queue_s": 0.02, "wait_s": 0.0, "model_s": spent}
        record.attempt += 1
        steady.append(record)
    store.save_generation_records(run_id, steady)
    if run_id in COMPARED[:2]:
        evaluated = list(store.iter_evaluation_records(run_id))
        for number, record in enumerate(evaluated):
            record.latency_s = 0.3 + number * 37 % (90 + 40 * COMPARED.index(run_id)) / 100
            record.attempt += 1
        store.save_evaluation_records(run_id, evaluated)


PROFILES = """\
[default]
storage = "local"
executor = "async"

[storage.local]
type = "local"
colour = "green"

[storage.team]
type = "local"
root = "{root}/team"
protected = true
colour = "orange"

[storage.archive]
type = "local"
root = "/mnt/archive/evals"
readonly = true

[executor.async]
type = "async"
max_concurrent = 64

[executor.many]
type = "threads"
max_workers = 32

[endpoint.gpu7]
base_url = "http://gpu7:8080/v1"
model = "smollm2-135m"

[endpoint.hosted]
base_url = "https://models.example.org/v1"
model = "qwen3-4b"
key = "env:MODELS_KEY"
"""
"""Written when the runs have been shown, whose stores they do not change."""


def write_profiles(root: str) -> None:
    """Make the user's profiles those of the picture."""
    from themis.profiles import profiles_path

    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(PROFILES.format(root=root))


def steady_steps(kind: str, name: str) -> Iterator[Any]:
    """What trying a store shows, in the times of a disk of this kind; it is seen at its last but one."""
    from themis.core.check_step import CheckStep

    yield CheckStep("resolve", True, 0.0011, "local")
    yield CheckStep("open", True, 0.0004, "")
    for step, took, said in (
        ("connect", 0.0021, "214 runs"),
        ("write", 0.0061, ""),
        ("read back", 0.0032, ""),
        ("list", 0.0018, ""),
    ):
        yield CheckStep(step, True, took, said)
    SEEN.wait()
    yield CheckStep("delete", True, 0.0052, "")


SEEN = threading.Event()
"""The picture of a store that is being tried has been taken."""


async def take_profiles(pilot: Any, folder: Path) -> None:
    """The list of profiles with a store that is being tried, and the form of another."""
    from themis_tui.screens.profile_form import ProfileFormScreen
    from themis_tui.screens.profiles import ProfilesScreen

    app = pilot.app
    await pilot.press("p")
    await _until(pilot, lambda: isinstance(app.screen, ProfilesScreen) and app.screen.row)
    with patch("themis.runs.profiles.steps", steady_steps):
        await pilot.press("j", "t")
        try:
            trial = await _until(pilot, lambda: app.screen.trials.get("storage.team"))
            await _until(pilot, lambda: len(trial.steps) == 6)
            await _picture(pilot, folder / "profiles.svg")
        finally:
            SEEN.set()
    await pilot.press("d")
    await _until(pilot, lambda: isinstance(app.screen, ProfileFormScreen) and app.screen.checked)
    await pilot.press("tab", "tab", "end", "ctrl+u", *"/data/team-2", "tab", "tab", "end", "ctrl+u", *"maybe")
    await _until(pilot, lambda: app.screen.checked.problems)
    await _picture(pilot, folder / "profile_form.svg")


async def take_comparisons(pilot: Any, folder: Path) -> None:
    """Two runs with a verdict, and four, each with each."""
    from themis_tui.screens.compare import CompareScreen

    app, runs = pilot.app, pilot.app.screen
    for marked, name in ((COMPARED[:2], "compare"), (COMPARED[2:], "compare_many")):
        for run_id in marked:
            runs.table.go_to_key(f"local:{run_id}")
            await pilot.press("space")
        await pilot.press("c")
        await _until(pilot, lambda: isinstance(app.screen, CompareScreen) and app.screen.table.rows.shown)
        if app.screen.many:
            await pilot.press("p")
            await _until(pilot, lambda: len(app.screen.pairs_table.rows.shown) == 6)
        await _picture(pilot, folder / f"{name}.svg")
        await pilot.press("escape")


async def take(folder: Path, size: tuple[int, int], theme: str) -> None:
    """One picture of each screen."""
    from themis_tui.app import ThemisApp
    from themis_tui.screens.new_run import NewRunScreen
    from themis_tui.screens.run import RunScreen
    from themis_tui.screens.sample import SampleScreen

    app: Any = ThemisApp(clock=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        app.theme = theme
        await _until(pilot, lambda: len(app.screen.table.rows.shown) == len(RUNS))
        await pilot.press("j")
        await _picture(pilot, folder / "runs.svg")
        await pilot.press("k", "enter")
        await _until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.table.rows.shown)
        await pilot.press("n")
        await _picture(pilot, folder / "run.svg")
        await pilot.press("enter")
        await _until(pilot, lambda: isinstance(app.screen, SampleScreen) and app.screen.reader.plain_text)
        await _picture(pilot, folder / "sample.svg")
        await pilot.press("escape", "escape")
        await take_comparisons(pilot, folder)
        await pilot.press("ctrl+backslash", "g", "plus")
        await _until(pilot, lambda: isinstance(app.screen, NewRunScreen) and app.screen.checked)
        await pilot.press("tab", "tab", *"{question} Think first.", "tab", "tab", "tab", *"50")
        await _until(pilot, lambda: app.screen.checked.spec.limit == 50 and app.screen.checked.preview)
        await _picture(pilot, folder / "new_run.svg")
        await pilot.press("escape")
        write_profiles("/data")
        await take_profiles(pilot, folder)


TAGS = {
    "nightly-0521": ["nightly"],
    "few-shot-0": ["baseline"],
    "few-shot-4": ["baseline", "best"],
    "cot-1": ["cot"],
    "cot-2": ["cot", "best"],
    "cot-3-all": ["cot"],
}
NOTES = {"cot-2": "twice as many steps as cot-1; the prompt of the paper"}
ELSEWHERE = ("few-shot-4", "nightly-0521")
"""Runs that the second store has too."""


def make_stores(root: Path) -> None:
    """Two more stores, of which one cannot be read; tags and notes; runs that are in two places."""
    from themis.profiles import profiles_path
    from themis.runs.annotations import set_notes, tag_runs
    from themis.runs.catalog import open_store
    from themis.runs.copy import copy_run

    os.environ["THEMIS_CONFIG_DIR"] = str(root / "config")
    profiles_path().parent.mkdir(parents=True, exist_ok=True)
    profiles_path().write_text(
        f'[storage.team]\ntype = "local"\nroot = "{root / "team"}"\ncolour = "amber"\n\n'
        '[storage.archive]\ntype = "local"\nbucket = "evals"\n'
        "readonly = true\n"
    )
    profiles_path().chmod(0o600)
    local, team = open_store("local"), open_store("team")
    for run_id, tags in TAGS.items():
        tag_runs(local, [run_id], add=tags)
    for run_id, notes in NOTES.items():
        set_notes(local, run_id, notes)
    for run_id in ELSEWHERE:
        copy_run(local, run_id, team)


async def take_many(folder: Path, size: tuple[int, int], theme: str) -> None:
    """The list over several stores, and the questions that are asked over it."""
    from themis_tui.app import ThemisApp
    from themis_tui.screens.annotate import AnnotateForm, TagForm
    from themis_tui.screens.copying import CopyDialog
    from themis_tui.screens.dialogs import ConfirmDialog

    app: Any = ThemisApp(clock=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        app.theme = theme
        await _until(pilot, lambda: app.screen._listed.settled and len(app.screen.table.rows.all) > len(RUNS))
        runs = app.screen
        await pilot.press("slash", *"tag:cot | tag:best", "enter")
        await _until(pilot, lambda: len(runs.table.rows.shown) < len(runs.table.rows.all))
        await pilot.press("g", "j", "space", "space", "k")
        app.clear_notifications()
        await _picture(pilot, folder / "stores.svg")
        await pilot.press("e")
        await _until(pilot, lambda: isinstance(app.screen, TagForm))
        await pilot.press(*"published")
        await _picture(pilot, folder / "tags.svg")
        await pilot.press("escape", "escape", "C")
        await _until(pilot, lambda: isinstance(app.screen, CopyDialog))
        await _picture(pilot, folder / "copy.svg")
        await pilot.press("escape", "D")
        await _until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await _picture(pilot, folder / "delete.svg")
        await pilot.press("escape", "ctrl+backslash", "e")
        await _until(pilot, lambda: isinstance(app.screen, AnnotateForm))
        await _picture(pilot, folder / "annotate.svg")


async def _until(pilot: Any, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while not (held := condition()):
        if time.monotonic() > deadline:
            raise SystemExit("the screen did not come to show what the picture is of")
        await pilot.pause(0.05)
    return held


async def _picture(pilot: Any, path: Path) -> None:
    await pilot.pause(0.3)
    for field in pilot.app.screen.query("Input"):
        field.cursor_blink = False
    await pilot.pause()
    path.write_text(steady_svg(pilot.app.export_screenshot(title="themis-tui")), encoding="utf-8")
    if path.stat().st_size > LARGEST:
        raise SystemExit(f"{path} is larger than {LARGEST} bytes")
    print(path)


def steady_svg(svg: str) -> str:
    """The picture without what differs from one taking to the next, right in every renderer."""
    name = re.search(r"terminal-(\d+)-", svg)
    if name is not None:
        svg = svg.replace(f"terminal-{name[1]}", "terminal-0")
    return re.sub(
        r'<text class="([^"]+)" x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"([^>]*)>([^<]*)</text>',
        _placed,
        svg,
    )


def _placed(found: re.Match[str]) -> str:
    # Some renderers drop spaces at the ends of a piece and then shift what is left of it.
    style, x, y, length, rest, escaped = found.groups()
    text = html.unescape(escaped).replace("\xa0", " ")
    kept = text.strip(" ")
    if not kept or kept == text:
        return found[0]
    cell = float(length) / _cells(text)
    left = float(x) + cell * (len(text) - len(text.lstrip(" ")))
    inner = html.escape(kept).replace(" ", "&#160;")
    length = f"{cell * _cells(kept):g}"
    return f'<text class="{style}" x="{left:g}" y="{y}" textLength="{length}"{rest}>{inner}</text>'


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def frozen(stack: ExitStack) -> None:
    """Hold still what a picture would show of this machine and moment."""
    from themis.runs import status

    stack.enter_context(patch.object(status.time, "time", lambda: NOW))
    stack.enter_context(patch.object(socket, "gethostname", lambda: "gpu1"))
    counter = itertools.count()
    stack.enter_context(patch("secrets.token_hex", lambda length=4: f"{next(counter):0{2 * length}x}"))


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--size", default="92x28")
    parser.add_argument("--theme", default="themis-dark")
    asked = parser.parse_args()
    width, _, height = asked.size.partition("x")
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as root, ExitStack() as stack:
        make_world(Path(root))
        frozen(stack)
        asyncio.run(take(asked.folder, (int(width), int(height)), asked.theme))
        make_stores(Path(root))
        asyncio.run(take_many(asked.folder, (int(width), int(height)), asked.theme))


if __name__ == "__main__":
    sys.exit(main())
