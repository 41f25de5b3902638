"""What the command line understands, and what it says when it does not."""

import json
import os
import subprocess
import sys

import pytest

import themis as library
from themis.cli import output
from themis.cli.eval import resume_line
from themis.runs.spec import RunSpec


def test_alone_it_prints_help(themis):
    ran = themis()
    assert ran.code == 0
    assert "usage: themis" in ran.out
    assert "eval" in ran.out
    assert ran.err == ""


@pytest.mark.parametrize("words", [["runs"], ["--help"], ["eval", "--help"], ["runs", "export", "-h"]])
def test_help_is_the_result(themis, words):
    ran = themis(*words)
    assert ran.code == 0
    assert ran.out.startswith("usage: themis")


def test_version(themis):
    assert themis("--version").out == f"themis {library.__version__}\n"


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["evl"], "Did you mean 'themis eval'?"), (["runs", "lst"], "Did you mean 'themis runs list'?")],
)
def test_an_unknown_command_names_the_nearest(themis, words, meant):
    ran = themis(*words)
    assert ran.code == 2
    assert ran.err.startswith("themis: ")
    assert meant in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["eval", "demo"], "--model"),
        (["eval", "demo", "--model", "fake-math-llm", "--limit", "ten"], "'ten' is not a whole number"),
        (["eval", "demo", "--model", "fake-math-llm", "--timeout", "soon"], "'soon' is not a time"),
        (["eval", "demo", "--model", "fake-math-llm", "--timeout", "nan"], "'nan' is not a time"),
        (["runs", "list", "-n", "0"], "less than 1"),
        (["runs", "list", "--lim", "3"], "--lim"),
        (["runs", "show"], "RUN"),
        (["runs", "export", "x", "--format", "xml"], "xml"),
    ],
)
def test_what_cannot_be_parsed_is_usage(themis, words, said):
    ran = themis(*words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_an_argument_is_shown_and_not_obeyed(themis, assert_harmless):
    ran = themis("runs", "show", "\x1b[2J")
    assert ran.code == 2
    assert_harmless(ran.err)
    assert_harmless(themis("\x1b[2J").err)
    assert_harmless(themis("runs", "list", "--\x1b[2J").err)


def test_errors_of_json_commands_are_json(themis):
    ran = themis("runs", "show", "nobody", "--json")
    assert (ran.code, ran.out) == (2, "")
    error = json.loads(ran.err)["error"]
    assert error["kind"] == "RunNotFound"
    assert "nobody" in error["message"]


def test_a_store_that_is_no_folder_is_a_store_error(themis, tmp_path):
    (tmp_path / "file").write_text("")
    ran = themis("runs", "list", "--storage", "./file")
    assert ran.code == 5
    assert ran.err.startswith("themis: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_store_that_says_no_is_a_store_error(themis, tmp_path):
    (tmp_path / "closed" / "runs").mkdir(parents=True)
    (tmp_path / "closed" / "runs").chmod(0)
    assert themis("runs", "list", "--storage", "./closed").code == 5


def test_an_unforeseen_error_is_one_line_and_a_traceback_only_when_asked_for(themis, monkeypatch):
    monkeypatch.setattr("themis.cli.runs.open_store", lambda name: 1 / 0)
    ran = themis("runs", "list")
    assert ran.code == 1
    assert ran.err == "themis: ZeroDivisionError: division by zero (THEMIS_DEBUG=1 shows where)\n"
    monkeypatch.setenv("THEMIS_DEBUG", "1")
    assert "Traceback" in themis("runs", "list").err


def test_ctrl_c_in_any_command_is_130(themis, monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("themis.cli.runs.open_store", interrupted)
    ran = themis("runs", "list")
    assert (ran.code, ran.err) == (130, "themis: interrupted\n")


def test_a_reader_that_has_seen_enough_is_no_error(write_run, tmp_path):
    for number in range(1_000):
        write_run(
            tmp_path / "many", f"run-{number}", asked={"benchmark": "b" * 28, "model": {"name": "m" * 28}}
        )
    words = [sys.executable, "-m", "themis.cli.main", "runs", "list", "--all", "--storage", "./many"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        assert listing.stdout.readline().startswith(b"STATUS")
        listing.stdout.close()
        assert listing.stderr.read() == b""
    assert listing.returncode == 0


def test_an_encoding_without_the_signs_ends_nothing(shell, finished):
    ran = shell("runs", "show", finished, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert ran.code == 0
    assert r"\u2013" in ran.out


def test_a_password_in_a_store_name_is_not_printed(themis):
    name = "mine?uri=postgresql://ada:pw-of-ada@h/db"
    for words in (
        ["runs", "list", "--storage", name],
        ["runs", "show", f"{name}:r1"],
        ["backends", "check", name],
    ):
        for more in ([], ["--json"]):
            ran = themis(*words, *more)
            assert ran.code != 0
            assert "pw-of-ada" not in ran.out + ran.err


def test_an_address_shows_no_password_and_a_resume_line_neither():
    assert output.address("postgresql://ada:pw@h/db", "r1") == "postgresql://ada:***@h/db:r1"
    spec = RunSpec("demo", "fake-math-llm", storage="postgresql://ada:pw@h/db")
    line = resume_line(spec, "r1")
    assert "--storage 'postgresql://ada:***@h/db' " in line
    assert "give the password for ***" in line


def test_a_command_for_a_store_without_a_password_can_be_pasted():
    address = output.address("postgresql://ada@h/db", "r1")
    assert output.pasted(address) == "postgresql://ada@h/db:r1"


def test_an_error_in_a_query_shows_where_it_is(themis):
    ran = themis("runs", "list", "small acc>")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "themis: A number is wanted here.\n    small acc>\n              ^\n"
    ran = themis("runs", "delete", "--query", "一二 stauts:x", "--yes")
    assert ran.err.splitlines()[1:] == ["    一二 stauts:x", "         ^"]
    ran = themis("runs", "list", "x" * 500 + " has:nothing " + "y" * 500)
    _, shown, below = ran.err.splitlines()
    assert shown[below.index("^") :].startswith("has:nothing yyy")
    assert len(shown) < 140
    said = json.loads(themis("runs", "list", "small acc>", "--json").err)["error"]
    assert (said["query"], said["position"]) == ("small acc>", 10)


def test_what_was_looked_for_as_a_text_is_told_where_nothing_matches(themis, finished):
    ran = themis("runs", "list", "foo:bar")
    assert ran.err.splitlines()[0] == "'foo' is no field, so 'foo:bar' was looked for as a text."
    assert themis("runs", "list", f"local:{finished}").err == ""
