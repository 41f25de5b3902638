"""One run and its samples, by keys alone."""

from __future__ import annotations

import json

from themis import evaluate
from themis_tui.screens.run import RunScreen
from themis_tui.screens.sample import SampleScreen
from themis_tui.widgets.reader import Reader


async def to_run(pilot, until, run_id):
    await until(pilot, lambda: pilot.app.screen.table.rows.place(f"local:{run_id}") is not None)
    pilot.app.screen.table.go_to_key(f"local:{run_id}")
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
    return await until(pilot, lambda: pilot.app.screen.table.rows.all and pilot.app.screen)


async def to_sample(pilot, until):
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, SampleScreen))
    await until(pilot, lambda: pilot.app.screen.query_one(Reader).plain_text)
    return pilot.app.screen


async def test_a_run_shows_figures_and_samples(world, opened, until, read):
    async with opened() as pilot:
        await to_run(pilot, until, "second-run")
        text = read(pilot)
        for said in ("second-run", "✓ completed", "30 samples", "ExactMatch", "Includes", "errors", "server"):
            assert said in text
        assert "├" in text
        assert "all 30" in text


async def test_f_goes_through_all_wrong_and_errors(world, opened, until, read):
    async with opened() as pilot:
        screen = await to_run(pilot, until, "second-run")
        await pilot.press("f")
        assert {row.verdict for row in screen.table.rows.shown} == {"wrong"}
        await pilot.press("f")
        assert {row.verdict for row in screen.table.rows.shown} == {"error"}
        assert "! error" in read(pilot)
        await pilot.press("f")
        assert len(screen.table.rows.shown) == 30


async def test_words_find_samples_by_answer(world, opened, until):
    async with opened() as pilot:
        screen = await to_run(pilot, until, "first-run")
        await pilot.press("slash", *"mercury", "enter")
        assert [row.answer for row in screen.table.rows.shown] == ["Mercury"]
        await pilot.press("escape")
        assert len(screen.table.rows.shown) == 20
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, RunScreen))


async def test_n_finds_the_next_wrong_sample(world, opened, until):
    async with opened() as pilot:
        screen = await to_run(pilot, until, "third-run")
        await pilot.press("n")
        assert screen.table.row.verdict == "wrong"
        first = screen.table.cursor
        await pilot.press("n")
        assert screen.table.cursor > first


async def test_a_sample_is_shown_whole(world, opened, until):
    async with opened() as pilot:
        await to_run(pilot, until, "first-run")
        sample = await to_sample(pilot, until)
        text = sample.query_one(Reader).plain_text
        for heading in ("prompt", "response", "reference", "scores", "timing"):
            assert f"── {heading} ──" in text
        for said in ("What is 47 + 38?", "85", "ExactMatch"):
            assert said in text


async def test_neighbours_raw_and_back(world, opened, until, read):
    async with opened() as pilot:
        await to_run(pilot, until, "first-run")
        sample = await to_sample(pilot, until)
        await pilot.press("j")
        await until(pilot, lambda: "hexagon" in sample.query_one(Reader).plain_text)
        assert "2 of 20" in read(pilot)
        await pilot.press("n")
        await until(pilot, lambda: sample.row.verdict == "wrong")
        await pilot.press("r")
        await until(pilot, lambda: '"cache_key"' in sample.query_one(Reader).plain_text)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))


async def test_an_error_is_told_in_full(world, opened, until):
    async with opened() as pilot:
        await to_run(pilot, until, "second-run")
        await pilot.press("f", "f")
        sample = await to_sample(pilot, until)
        text = sample.query_one(Reader).plain_text
        assert "error: server" in text
        assert "The fake server failed, as asked by error_rate." in text


async def test_a_sample_can_be_written_to_a_file(world, opened, until, tmp_path, monkeypatch, read):
    monkeypatch.chdir(tmp_path)
    async with opened(size=(160, 40)) as pilot:
        await to_run(pilot, until, "first-run")
        await to_sample(pilot, until)
        await pilot.press("w")
        await until(pilot, lambda: "Written to" in read(pilot))
    written = json.loads((tmp_path / "first-run-sample-1.json").read_text())
    assert written["generation"]["response"] == "85"
    assert written["evaluation"]["scores"] == {"ExactMatch": 1, "Includes": 1}


async def test_a_run_that_is_not_there_says_so(opened, until, read):
    async with opened(run_id="gone-run") as pilot:
        await until(pilot, lambda: "gone-run" in read(pilot) and "has no metadata" in read(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, RunScreen))


async def test_the_app_can_start_on_a_run(world, opened, until, read):
    async with opened(run_id="first-run") as pilot:
        await until(pilot, lambda: "all 20" in read(pilot))


async def test_what_was_extracted_stands_beside_the_reference(opened, until, read):
    def model(prompt):
        return "Forty and two is the sum.\nThe answer is 42."

    rows = [
        {"id": "q1", "question": "6 × 7?", "answer": "42"},
        {"id": "q2", "question": "6 × 9?", "answer": "54"},
    ]
    evaluate(rows, model=model, run_id="sums", metrics=["NumericMatch", "Includes"])
    async with opened(size=(100, 40)) as pilot:
        await to_run(pilot, until, "sums")
        await until(pilot, lambda: "42   Forty and two" in read(pilot))
        await to_sample(pilot, until)
        await until(pilot, lambda: "answer and reference" in read(pilot))
        assert "read by NumericMatch   42" in read(pilot)
        assert "reference              42" in read(pilot)
