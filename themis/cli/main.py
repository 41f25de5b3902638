"""The command ``themis``: which words it knows, and how it ends.

Exit codes are in :mod:`themis.runs.exit_codes`. What a command does is imported only when that command
is called.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from themis.cli import output
from themis.core.errors import UsageError
from themis.runs import exit_codes

Command = Callable[[argparse.Namespace], int]

_RUN = "RUN_ID, STORE:RUN_ID, or the name a person gave it"
_STORE = "the store: a name, path or URI"
_EXIT_CODES = """\
exit codes:
  0    done; also where there was nothing to do
  1    a run failed, or it was not done: you said no, a run is live, something is to mend
  2    usage: it cannot be meant, or your profiles forbid it (readonly, protected)
  3    cannot tell
  4    the run is paused
  5    a store or the network
  130  interrupted, or the run was cancelled
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _never_refuse_a_character()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough, as in: themis runs list | head
        silence_stdout()
        return exit_codes.DONE
    except KeyboardInterrupt:
        output.note("themis: interrupted")
        return exit_codes.INTERRUPTED
    except Exception as exc:  # the last stop: a person gets a sentence, and the traceback if wanted
        if os.environ.get("THEMIS_DEBUG"):
            _print_traceback(exc)
        output.tell_error(exc, as_json="--json" in arguments)
        return exit_codes.code_of(exc)
    return code


def _run(arguments: list[str]) -> int:
    parser = make_parser()
    try:
        given = parser.parse_args(arguments)
    except SystemExit as exc:  # --help and --version
        return exc.code if isinstance(exc.code, int) else exit_codes.USAGE
    if given.place is None:
        given.parser.print_help()
        return exit_codes.DONE
    return _command_at(given.place)(given)


def _command_at(place: str) -> Command:
    module, _, name = place.partition(":")
    # What an import makes stays: looking through it for garbage, now or at the end, is time lost.
    collected = gc.isenabled()
    gc.disable()
    try:
        command: Command = getattr(import_module(module), name)
        gc.freeze()
    finally:
        if collected:
            gc.enable()
    return command


class _Parser(argparse.ArgumentParser):
    """Raises what others print, says what was perhaps meant, declares its options when they are needed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        self.declare: Callable[[_Parser], None] | None = None
        self.collects_signs: str | None = None
        """A positional argument that takes the words with a plus or one dash before them, too."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.declare is not None:
            declare, self.declare = self.declare, None
            declare(self)
        if self.collects_signs is None:
            return super().parse_known_args(args, namespace)
        signed = [each for each in args if _is_signed(each)]
        given, unknown = super().parse_known_args([each for each in args if not _is_signed(each)], namespace)
        getattr(given, self.collects_signs).extend(signed)
        return given, unknown

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message.removeprefix('argument ')}. See '{self.prog} --help'.")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if not isinstance(action.choices, dict) or value in action.choices:
            super()._check_value(action, value)
            return
        from difflib import get_close_matches

        close = get_close_matches(str(value), action.choices, 1)
        meant = f" Did you mean '{self.prog} {close[0]}'?" if close else ""
        raise UsageError(
            f"{self.prog!r} has no command {value!r:.100}.{meant} It has: {', '.join(action.choices)}."
        )


def _is_signed(word: str) -> bool:
    return word[:1] == "+" or (word[:1] == "-" and word[:2] != "--" and word not in ("-h", "-"))


def make_parser() -> argparse.ArgumentParser:
    """The whole command line; imports nothing of what it names."""
    parser = _Parser(
        prog="themis",
        description="Run LLM evaluations, keep every record, and manage the runs.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    parser.set_defaults(place=None, parser=parser)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    _command(commands, "eval", _eval, "ask a model every question of a benchmark", "eval:evaluate")
    _command(commands, "runs", _runs, "list, show, follow, rescore, tag, copy, delete and export runs")
    what = "whether one run is better than another, by the samples both have"
    _command(commands, "compare", _compare, what, "compare:compare")
    what = "whether a run is surely no worse than a baseline, for scripts"
    _command(commands, "gate", _gate, what, "gate:gate_run")
    what = "bring logs of Inspect AI and results of lm-eval into a store"
    _command(commands, "import", _import, what, "import_runs:import_runs")
    what = "where records can live and how work can be spread"
    _command(commands, "backends", _backends, what, "backends:list_backends")
    _command(commands, "profiles", _profiles, "named storages, executors and endpoints of models")
    what = "whether this installation, machine and terminal are in order"
    _command(commands, "doctor", _doctor, what, "doctor:examine_installation")
    return parser


def _command(
    commands: Any, name: str, declare: Callable[[_Parser], None], what: str, place: str | None = None
) -> None:
    parser: _Parser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.declare = declare
    parser.set_defaults(place=place and f"themis.cli.{place}", parser=parser)


def _eval(parser: _Parser) -> None:
    option = parser.add_argument
    option(
        "benchmark",
        metavar="BENCHMARK",
        help="a name, mmlu?subject=anatomy, or a file, q.csv?answer=label",
    )
    option(
        "--model",
        help="fake-math-llm?latency=50ms, openai:NAME?base_url=…, python:…, or an endpoint of yours",
    )
    option("--prompt", help="a template over the input fields, '{question}', chat messages as JSON, or @FILE")
    option("--system", help="a system prompt")
    option(
        "--metric",
        action="append",
        metavar="M",
        help="a metric; again, or M,M, for several (a comma in an option: %%2C)",
    )
    option(
        "--sampling", action="append", default=[], metavar="K=V", help="an option of the endpoint, as JSON"
    )
    option("--limit", type=_whole, metavar="N", help="ask only the first N samples")
    option("--epochs", type=_whole, metavar="N", default=1, help="ask every sample N times")
    option("--storage", metavar="NAME", help="where records go: a name, path or URI")
    _add_spreading(parser)
    option("--run-id", metavar="ID", help="the run's id; an existing run is resumed")
    option("--no-resume", action="store_true", help="refuse to go on with an existing run")
    option("--timeout", type=_seconds, metavar="S", help="how long one sample may take: 30, 500ms, 2m")
    option("--seed", type=_whole, metavar="N", help="handed to the model")
    option("--model-id", metavar="ID", help="the identity under which answers are stored")
    option("--budget", action="append", default=[], metavar="KIND=N", help="pause at tokens, cost or seconds")
    option("--json", action="store_true", help="print the report as JSON")
    option("--detach", action="store_true", help="run in a process of its own that outlives this terminal")


def _compare(parser: _Parser) -> None:
    option = parser.add_argument
    option("run", nargs="+", metavar="RUN", help=f"{_RUN}; the first is the baseline if none is named")
    option("--baseline", metavar="RUN", help="what the others are compared with")
    option("--all-pairs", action="store_true", help="compare each with each")
    _add_comparing(parser, errors="left-out")
    option("--flips", action="store_true", help="list what was fixed and broken, and which errors there were")
    option("--sample", metavar="ID", help="one sample whole, as each run answered it, with what differs")
    option("--format", choices=("md", "html", "csv", "json"), help="a document instead of lines")
    option(
        "-o", "--output", metavar="FILE", default="-", help="a file; by its ending if there is no --format"
    )
    option("--replace", action="store_true", help="replace the file if it is there")
    _add_common(parser)


def _gate(parser: _Parser) -> None:
    option = parser.add_argument
    option("run", metavar="RUN", help=_RUN)
    option("--baseline", metavar="RUN", help="what it is held against; if not given, the one remembered")
    what = "how much lower the mean score may be: 0.02 (if not given) is two points"
    option("--max-drop", type=_share, default=0.02, metavar="D", help=what)
    _add_comparing(parser, errors="zero")
    option("--junit", metavar="FILE", help="write JUnit XML, too")
    what = "remember this run for its benchmark, if it passes or there is none yet"
    option("--make-baseline", action="store_true", help=what)
    _add_common(parser)


def _import(parser: _Parser) -> None:
    what = "a .eval or .json log of Inspect AI, or results_….json of lm-eval --log_samples"
    parser.add_argument("file", nargs="+", metavar="FILE", help=what)
    parser.add_argument("--storage", metavar="NAME", help="where to: a name, path or URI")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_comparing(parser: _Parser, *, errors: str) -> None:
    option = parser.add_argument
    option("--metric", action="append", metavar="M", help="only this metric; again, or M,M, for several")
    what = f"what an answer that ended in an error counts ({errors})"
    option("--errors", choices=("left-out", "zero"), default=errors, help=what)
    option("--confidence", type=_share, default=0.95, metavar="C", help="of all intervals (0.95)")
    option("--force", action="store_true", help="compare metrics of different versions, too")
    option("--seed", type=_whole, default=0, metavar="N", help="of the bootstrap (0)")


def _runs(parser: _Parser) -> None:
    verbs = parser.add_subparsers(metavar="COMMAND", title="commands")
    _command(verbs, "list", _list, "the runs of your stores, newest first", "runs:list_runs")
    _command(verbs, "show", _show, "what a run asked, and what came of it", "show:show_run")
    what = "move runs to the trash; --purge: delete them for good"
    _command(verbs, "delete", _delete, what, "deletion:delete_runs")
    _command(verbs, "restore", _restore, "bring runs back from the trash", "deletion:restore_runs")
    _command(verbs, "purge", _purge, "delete runs for good", "deletion:purge_runs")
    _command(verbs, "gc", _gc, "delete for good what has been in the trash for its time", "deletion:gc_runs")
    _command(verbs, "tag", _tag, "add tags to a run, and take tags away", "notes:tag_run")
    _command(verbs, "note", _text, "write notes on a run", "notes:note_run")
    _command(verbs, "name", _text, "give a run a name for people", "notes:name_run")
    _command(verbs, "pin", _one_run, "mark a run, to find it by is:pinned", "notes:pin_run")
    _command(verbs, "unpin", _one_run, "take that mark away", "notes:unpin_run")
    _command(verbs, "copy", _copy, "copy runs to another store, verified", "copy:copy_runs")
    what = "look for what is wrong with runs, and mend what is safe to mend"
    _command(verbs, "doctor", _runs_doctor, what, "doctor:examine_runs")
    what = "send what ended processes left on this machine for a remote store"
    _command(verbs, "recover", _recover, what, "recover:recover_runs")
    _command(verbs, "export", _export, "every sample with its scores", "export:export_run")
    _command(verbs, "rescore", _rescore, "score stored answers anew, by other metrics", "rescore:rescore_run")
    _command(verbs, "watch", _one_run, "follow a run to its end", "follow:watch_run")
    _command(verbs, "cancel", _one_run, "end a launched run for good", "follow:cancel_run")
    _command(verbs, "pause", _one_run, "end a launched run, to be resumed", "follow:pause_run")
    _command(verbs, "log", _log, "what the process of a launched run printed", "follow:show_log")


def _list(parser: _Parser) -> None:
    words = "words that stand in a run, status:failed, model:smol, acc>0.5, age<2d, has:errors, -not, a | b"
    parser.add_argument("query", nargs="*", metavar="QUERY", help=words)
    parser.add_argument("-n", "--limit", type=_at_least_one, default=50, metavar="N", help="at most N (50)")
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--trash", action="store_true", help="those in the trash, instead of the others")
    parser.add_argument("--storage", action="append", metavar="NAME", help=f"{_STORE}; again for several")
    parser.add_argument("--all-stores", action="store_true", help="the default and every storage profile")
    parser.add_argument("--json", action="store_true", help="print JSON: runs, left_out, errors by store")


def _show(parser: _Parser) -> None:
    _one_run(parser)
    parser.add_argument("--samples", choices=("all", "wrong", "errors"), help="list its samples")
    parser.add_argument("--sample", metavar="ID", help="one sample whole")
    parser.add_argument("--audit", action="store_true", help="who changed what people say of it, and when")


def _delete(parser: _Parser) -> None:
    _restore(parser)
    parser.add_argument("--purge", action="store_true", help="for good, not to the trash")
    _add_asking(parser)


def _restore(parser: _Parser) -> None:
    parser.add_argument("run", nargs="*", metavar="RUN", help=_RUN)
    parser.add_argument(
        "--query", metavar="QUERY", help="all that match, as in list: 'status:failed age>30d'"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say which")
    _add_progress(parser)
    _add_common(parser)


def _purge(parser: _Parser) -> None:
    _restore(parser)
    _add_asking(parser)


def _gc(parser: _Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say which")
    _add_progress(parser)
    _add_common(parser)
    _add_asking(parser)


def _tag(parser: _Parser) -> None:
    # A tag to take away looks like an option; no option of this command is one letter after one dash.
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument("tag", nargs="*", metavar="+TAG|-TAG", help="+good adds, -good takes away")
    _add_common(parser)
    parser.collects_signs = "tag"


def _text(parser: _Parser) -> None:
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument("text", metavar="TEXT", help="an empty one takes it away")
    _add_common(parser)


def _copy(parser: _Parser) -> None:
    parser.add_argument("run", nargs="+", metavar="RUN", help=_RUN)
    parser.add_argument("--to", metavar="STORE", required=True, help="where to: a name, path or URI")
    parser.add_argument(
        "--as", dest="new_id", metavar="ID", help="the id of the copy, where it is to be another"
    )
    _add_progress(parser)
    _add_common(parser)


def _recover(parser: _Parser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="its id; all runs of the store if not given")
    parser.add_argument("--storage", metavar="NAME", help="the store: a name, path or URI")
    parser.add_argument("--dry-run", action="store_true", help="only say what waits here")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _runs_doctor(parser: _Parser) -> None:
    parser.add_argument("run", nargs="*", metavar="RUN", help=f"{_RUN}; all of the store if none is named")
    parser.add_argument("--fix", action="store_true", help="mend what is safe to mend")
    _add_progress(parser)
    _add_common(parser)


def _doctor(parser: _Parser) -> None:
    _add_common(parser)


def _export(parser: _Parser) -> None:
    _log(parser)
    parser.add_argument("--format", choices=("jsonl", "csv"), help="by default as the file's name ends")
    parser.add_argument("-o", "--output", metavar="FILE", default="-", help="a file; - is standard output")
    parser.add_argument("--force", action="store_true", help="replace the file if it is there")


def _rescore(parser: _Parser) -> None:
    _one_run(parser)
    what = "a metric to set or replace; again, or M,M, for several. Others are carried over"
    parser.add_argument(
        "--metrics", "--metric", dest="metric", action="append", metavar="M", required=True, help=what
    )
    _add_spreading(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be scored")


def _one_run(parser: _Parser) -> None:
    parser.add_argument("run", metavar="RUN", help=_RUN)
    _add_common(parser)


def _log(parser: _Parser) -> None:
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument("--storage", metavar="NAME", help=_STORE)


def _backends(parser: _Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    verbs = parser.add_subparsers(metavar="COMMAND", title="commands")
    _command(verbs, "check", _check, "try one, step by step", "backends:check_backend")


def _profiles(parser: _Parser) -> None:
    verbs = parser.add_subparsers(metavar="COMMAND", title="commands")
    _command(verbs, "list", _json_only, "what there is", "profiles:list_profiles")
    _command(verbs, "show", _one_profile, "one profile", "profiles:show_profile")
    _command(verbs, "fields", _fields, "what a profile of a kind and type may hold", "profiles:list_fields")
    _command(verbs, "add", _add_profile, "write a new profile", "profiles:add_profile")
    _command(verbs, "edit", _edit_profile, "change fields of a profile", "profiles:edit_profile")
    _command(
        verbs, "duplicate", _duplicate, "write a profile under another name", "profiles:duplicate_profile"
    )
    _command(verbs, "remove", _one_profile, "take a profile out; its runs stay", "profiles:remove_profile")
    _command(verbs, "test", _test, "try a profile or a model, step by step", "profiles:check_profile")
    _command(verbs, "default", _default, "which name is meant where none is given", "profiles:set_default")


_PROFILE = "its name, or KIND.NAME where several kinds have it"
_KINDS = ("storage", "executor", "endpoint")


def _json_only(parser: _Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _one_profile(parser: _Parser) -> None:
    parser.add_argument("name", metavar="NAME", help=_PROFILE)
    _json_only(parser)


def _fields(parser: _Parser) -> None:
    parser.add_argument("kind", choices=_KINDS, metavar="KIND", help=", ".join(_KINDS))
    parser.add_argument("type", nargs="?", metavar="TYPE", help="a backend, as 'themis backends' lists them")
    _json_only(parser)


def _add_profile(parser: _Parser) -> None:
    parser.add_argument("kind", choices=_KINDS, metavar="KIND", help=", ".join(_KINDS))
    parser.add_argument("name", metavar="NAME", help="letters, digits and ._-")
    parser.add_argument("--type", metavar="TYPE", help="a backend, as 'themis backends' lists them")
    _add_set(parser)
    parser.add_argument("--default", action="store_true", help="make it the default of its kind")
    _json_only(parser)


def _edit_profile(parser: _Parser) -> None:
    _one_profile(parser)
    _add_set(parser)
    parser.add_argument(
        "--unset", action="append", default=[], metavar="FIELD", help="take a field out; may be repeated"
    )


def _add_set(parser: _Parser) -> None:
    what = "a field, see 'themis profiles fields'; a secret by reference: password=env:NAME; may be repeated"
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help=what)


def _duplicate(parser: _Parser) -> None:
    _one_profile(parser)
    parser.add_argument("new_name", metavar="NEW_NAME", help="letters, digits and ._-")


def _default(parser: _Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"a profile: {_PROFILE}")
    parser.add_argument(
        "--kind", choices=_KINDS, metavar="KIND", help="with any other name that this kind takes"
    )
    parser.add_argument("--unset", choices=_KINDS, metavar="KIND", help="back to the built-in default")
    _json_only(parser)


def _test(parser: _Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="a profile, or a model as for eval --model")
    _json_only(parser)


def _check(parser: _Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="a name, path or URI")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")


def _add_spreading(parser: _Parser) -> None:
    parser.add_argument("--executor", metavar="NAME", help="how work is spread")
    parser.add_argument("--max-workers", type=_whole, metavar="N", help="at most N samples at once")


def _add_asking(parser: _Parser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--confirm", metavar="NAME", help="the name of a protected store, typed here")


def _add_progress(parser: _Parser) -> None:
    parser.add_argument(
        "--progress", choices=("json",), help="tell progress as JSON lines on standard output"
    )


def _add_common(parser: _Parser) -> None:
    parser.add_argument("--storage", metavar="NAME", help=_STORE)
    parser.add_argument("--json", action="store_true", help="print JSON")


class _Version(argparse.Action):
    def __init__(self, option_strings: list[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from themis import __version__

        output.say(f"themis {__version__}")
        parser.exit()


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0, such as 0.02")
    return value


def _at_least_one(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _seconds(text: str) -> float:
    from themis.core.options import seconds

    try:
        value = seconds(text)
    except ValueError:
        value = float("inf")
    if value == float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time, such as 30, 500ms or 2m")
    return value


def _never_refuse_a_character() -> None:
    """A terminal that cannot show a sign gets its number instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def silence_stdout() -> None:
    """Let what is still printed go nowhere."""
    # The interpreter flushes once more at its end, and would complain then.
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _print_traceback(error: Exception) -> None:
    import traceback

    from themis.core.options import redacted
    from themis.core.safe_text import safe_text

    output.note(safe_text(redacted("".join(traceback.format_exception(error)))))


if __name__ == "__main__":
    sys.exit(main())
