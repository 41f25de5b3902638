"""``themis runs copy``."""

from __future__ import annotations

import json
import time

from themis.core.directories import data_dir


def test_copies_are_told_and_listed(themis, finished):
    ran = themis("runs", "copy", finished, "--to", "./other")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "copied  ./other:ten: 10 generations, 10 evaluations, read back and found the same\n"
    (run,) = themis("runs", "list", "--json", "--storage", "./other").json["runs"]
    assert (run["status"], run["done"]) == ("completed", 10)
    again = themis("runs", "copy", finished, "--to", "./other")
    assert again.code == 2
    assert "this very run, whole" in again.err
    ran = themis("runs", "copy", finished, "--to", "./other", "--as", "twin", "--json")
    assert ran.json["copied"][0]["target"] == "./other:twin"


def test_progress_for_a_program(themis, finished):
    ran = themis("runs", "copy", finished, "--to", "./other", "--json", "--progress", "json")
    lines = ran.out.splitlines()
    progress = [json.loads(line)["progress"] for line in lines if line.startswith('{"progress"')]
    assert {each.get("step") for each in progress} >= {"generations", "evaluations"}
    assert json.loads("\n".join(lines[len(progress) :]))["copied"][0]["generations"] == 10


def test_several_and_one_that_is_refused(themis, finished, write_run, tmp_path):
    write_run(tmp_path / "s", "good")
    write_run(tmp_path / "s", "live", status="running", where={"host": "elsewhere"}, updated_at=time.time())
    ran = themis("runs", "copy", "live", "good", "--storage", "./s", "--to", "./other", "--json")
    assert ran.code == 1
    assert [each["run_id"] for each in ran.json["copied"]] == ["good"]
    assert "of no one moment" in ran.json["refused"]["./s:live"]
    assert themis("runs", "copy", "live", "good", "--storage", "./s", "--to", "./x", "--as", "y").code == 2
    assert themis("runs", "copy", "live", "--storage", "./s", "--to", "./x").code == 1
    assert themis("runs", "copy", "nowhere", "--to", "./x").code == 2


def test_unfinished_lines_are_told_as_no_copy_has_them(themis, finished):
    (file,) = (data_dir() / "store/runs/ten").glob("gen-*.jsonl")
    with file.open("a") as writing:
        writing.write('{"id": "half')
    ran = themis("runs", "copy", finished, "--to", "./other")
    assert ran.code == 0
    assert "local:ten: 1 unfinished last line, 12 B, left by a killed writer, could not be copied" in ran.err
