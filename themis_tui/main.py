"""``themis-tui``: the command."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from themis import __version__
from themis_tui.preferences import THEMES

USAGE, CRASHED, INTERRUPTED = 2, 1, 130


def main(arguments: list[str] | None = None) -> int:
    """Run the app; returns the exit code."""
    asked = parsed(arguments)
    from themis_tui import incoming, terminal

    reason = terminal.why_not()
    if reason is not None:
        print(reason, file=sys.stderr)
        return USAGE
    terminal.log_quietly()
    terminal.hold_garbage()
    terminal.forget_size()
    incoming.make_fit()
    from themis_tui.doors import Doors, FirstLook

    doors = Doors()
    first_look = FirstLook(doors.to(_storage(asked)), asked.stores)
    first_look.start()
    app = _app(asked, doors=doors, first_look=first_look, theme=asked.theme)
    app.run(mouse=not asked.no_mouse)
    code = app.return_code
    return INTERRUPTED if code is None else code


def _storage(asked: argparse.Namespace) -> str | None:
    return asked.stores[0] if asked.stores else None


def _app(asked: argparse.Namespace, **given: Any) -> Any:
    from themis_tui.app import ThemisApp

    if asked.command == "run":
        from themis.runs.catalog import split_address

        store, run_id = split_address(asked.run_id)
        if store is not None:
            return ThemisApp(store, run_id=run_id, **given)
        return ThemisApp(_storage(asked), stores=asked.stores, run_id=run_id, **given)
    if asked.command == "compare":
        return ThemisApp(_storage(asked), stores=asked.stores, compared=asked.run, **given)
    if asked.command == "launch":
        from themis_tui.draft import Draft

        typed = {
            name: value
            for name in ("benchmark", "model", "prompt", "limit", "executor", "max_workers")
            if (value := getattr(asked, name)) is not None
        }
        draft = Draft(storage=_storage(asked) or "", **typed)
        return ThemisApp(_storage(asked), stores=asked.stores, draft=draft, **given)
    return ThemisApp(_storage(asked), stores=asked.stores, **given)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """What was asked for. Options count before the command as well as after it."""
    parser = _parser()
    asked = parser.parse_args(arguments, argparse.Namespace(stores=[], no_mouse=False, theme=None))
    if asked.command == "compare" and len(asked.run) < 2:
        parser.error("a comparison is of two runs or more: themis-tui compare BASELINE RUN")
    return asked


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    shared.add_argument(
        "--storage",
        metavar="NAME",
        action="append",
        dest="stores",
        help="a store: a name, a path or a URI; may be given again; without, all stores are listed",
    )
    shared.add_argument(
        "--theme", metavar="NAME", choices=THEMES, help=f"colours for this time: {', '.join(THEMES)}"
    )
    shared.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser = argparse.ArgumentParser(
        prog="themis-tui",
        description="Launch, watch, browse and delete LLM evaluation runs in the terminal.",
        parents=[shared],
    )
    parser.add_argument("--version", action="version", version=f"themis-tui {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("runs", parents=[shared], help="the list of runs, which is also the default")
    run = commands.add_parser("run", parents=[shared], help="one run")
    run.add_argument("run_id", metavar="RUN_ID", help="its id; STORE:ID if several stores have it")
    compare = commands.add_parser("compare", parents=[shared], help="two runs or more, compared")
    compare.add_argument(
        "run", metavar="RUN_ID", nargs="+", help="an id, or STORE:ID; the first is the baseline"
    )
    launch = commands.add_parser("launch", parents=[shared], help="the form that launches a run, filled in")
    for name, said in (
        ("benchmark", "a name, or the path of a JSONL file"),
        ("model", "a name with options, such as fake-math-llm?latency=50ms"),
        ("prompt", "a template over the fields of a row"),
        ("limit", "ask only the first so many samples"),
        ("executor", "how the work is spread"),
        ("max-workers", "how many samples at once"),
    ):
        launch.add_argument(f"--{name}", metavar=name.upper().replace("-", "_"), help=said)
    for name in ("benchmark", "model", "prompt", "limit", "executor", "max_workers"):
        launch.set_defaults(**{name: None})
    return parser


if __name__ == "__main__":
    sys.exit(main())
