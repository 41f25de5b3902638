"""Secrets of every kind are used, where it works and where it fails; then all that is left is searched."""

from __future__ import annotations

import json
import os
import pickle
import shlex
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from themis import evaluate
from themis.backends.registry import open_storage, storage_named
from themis.backends.settings import checked_settings
from themis.cli.main import main
from themis.core.errors import ThemisError
from themis.models import open_model
from themis.profiles import load_profiles
from themis.profiles.editor import add_profile
from themis.runs import profiles
from themis.runs.launch import launch
from themis.runs.spec import RunSpec

CANARY = "kanarienvogel"
KINDS = ("env", "file", "command", "keyring")


class Echo(BaseHTTPRequestHandler):
    """Refuses every request, and quotes the key that came with it."""

    keys: ClassVar[set[str]] = set()

    def refuse(self) -> None:
        self.keys.add(self.headers["authorization"])
        body = json.dumps({"error": {"message": f"bad {self.headers['authorization']}"}}).encode()
        self.send_response(400)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = refuse

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as listening:
        serving = threading.Thread(target=listening.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{listening.server_port}/v1"
        listening.shutdown()
        serving.join()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store that quotes its password, as an installed package has it, also for launched processes."""
    site = tmp_path / "site"
    (site / "chatterbox-1.dist-info").mkdir(parents=True)
    (site / "chatterbox.py").write_bytes(Path(__file__).with_name("canaries.py").read_bytes())
    (site / "chatterbox-1.dist-info" / "METADATA").write_text("Name: chatterbox\nVersion: 1\n")
    (site / "chatterbox-1.dist-info" / "entry_points.txt").write_text(
        "[themis.storage_backends]\nchatterbox = chatterbox:Chatterbox\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.syspath_prepend(str(site))


@pytest.fixture
def references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawer: dict[Any, str]) -> dict[str, str]:
    """A reference of every kind; each secret lies where nobody searches."""
    vault = tmp_path / "vault"
    vault.mkdir()
    for kind in ("file", "command"):
        (vault / kind).write_text(f"{CANARY}-of-{kind}\n")
        (vault / kind).chmod(0o600)
    monkeypatch.setenv("A_KEY", f"{CANARY}-of-env")
    drawer["lab", "ada"] = f"{CANARY}-of-keyring"
    return {
        "env": "env:A_KEY",
        "file": f"file:{vault}/file",
        "command": f"command:cat {shlex.quote(str(vault / 'command'))}",
        "keyring": "keyring:lab/ada",
    }


@pytest.fixture
def searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, references: dict[str, str], installed: None, server: str
) -> Path:
    """A home with a storage and an endpoint for each kind of reference, and some that fail."""
    monkeypatch.setenv("THEMIS_DEBUG", "1")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for kind, reference in references.items():
        for fails, name in (("", "good"), ("at once", "dead"), ("in use", "sick")):
            table = {
                "type": "chatterbox",
                "root": str(tmp_path / "home" / kind / name),
                "password": reference,
            }
            add_profile("storage", f"{name}-{kind}", {**table, **({"fails": fails} if fails else {})})
        add_profile("endpoint", kind, {"base_url": server, "model": "m", "key": reference})
    return tmp_path / "home"


def hits(*folders: Path) -> list[str]:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if CANARY.encode() in path.read_bytes()]


def command_lines() -> str:
    said = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            said.append(path.read_bytes().decode("utf-8", "replace"))
    return "\n".join(said)


def said_by(call: Callable[[], Any]) -> str:
    """What is left of a call that raises: its traceback with that of all causes, and it itself pickled."""
    try:
        return repr(call())
    except (ThemisError, OSError) as exc:
        return "".join(traceback.format_exception(exc)) + repr(pickle.dumps(exc)) + repr(exc)


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_left_anywhere(
    kind: str, searched: Path, references: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    # In this process
    report = evaluate("demo", model="fake-math-llm", limit=2, storage=f"good-{kind}")
    assert report.status == "completed"
    said.append(json.dumps(report.to_dict()))
    said.append(said_by(lambda: open_storage(f"dead-{kind}")))
    for store, model in ((f"dead-{kind}", "fake-math-llm"), (f"good-{kind}", kind)):
        call = lambda store=store, model=model: evaluate("demo", model=model, limit=2, storage=store)  # noqa: E731
        said.append(said_by(call))
    things = (load_profiles(), storage_named(f"good-{kind}"), open_model(kind))
    said += [repr(thing) + repr(pickle.dumps(thing)) for thing in things]
    for row in profiles.list_profiles():
        said.append(repr(row))
        if row.name.endswith(kind):
            said.append(repr(list(profiles.steps(row.kind, row.name))))
    # On the command line
    for words in (
        ["profiles", "list"],
        ["profiles", "list", "--json"],
        *(["profiles", verb, name, *more]
          for verb in ("show", "test") for name in (f"good-{kind}", f"dead-{kind}", f"sick-{kind}", kind)
          for more in ([], ["--json"])),
        ["profiles", "edit", kind, "--set", f"key={CANARY}"],
        ["profiles", "edit", f"good-{kind}", "--set", f"pin={CANARY}"],
        ["profiles", "add", "storage", "x", "--type", "local", "--set", f"password={CANARY}"],
        ["profiles", "add", "storage", "x", "--type", "chatterbox", "--set", f"pin={CANARY}"],
        ["profiles", "default", "--kind", "storage", f"postgresql://u:{CANARY}@h/d"],
        ["backends", "check", f"sick-{kind}"],
        ["backends", "check", f"dead-{kind}"],
        *(["eval", "demo", "--model", model, "--storage", f"{store}-{kind}", "--limit", "2"]
          for store, model in (("good", "fake-math-llm"), ("dead", "fake-math-llm"),
                               ("sick", "fake-math-llm"), ("good", kind))),
        ["runs", "list", "--storage", f"good-{kind}", "--json"],
        ["runs", "list", "--storage", f"sick-{kind}"],
        ["runs", "show", report.run_id, "--storage", f"good-{kind}", "--json"],
    ):  # fmt: skip
        main(words)
    # In processes of their own, which can ask no keyring of this one
    Echo.keys.clear()
    for store, model in (("good", "fake-math-llm?latency=50ms"), ("good", kind), ("dead", "fake-math-llm"),
                         ("sick", "fake-math-llm")):  # fmt: skip
        spec = RunSpec("demo", model, storage=f"{store}-{kind}", limit=4, max_workers=1)
        try:
            run = launch(spec)
        except ThemisError as exc:
            said.append("".join(traceback.format_exception(exc)))
            continue
        said.append(command_lines())
        _until_gone(run.pid)
    assert Echo.keys == {f"Bearer {CANARY}-of-{kind}"}
    statuses = {
        each["asked"]["model"]["name"]: each["status"]
        for each in open_storage(f"good-{kind}").list_summaries()
    }
    assert statuses["fake-math-llm"] == "completed"
    out, err = capfd.readouterr()
    assert "***" in out + err
    assert CANARY not in "\n".join(said)
    assert CANARY not in out
    assert CANARY not in err
    assert hits(searched, searched.parent / "elsewhere") == []
    # What is searched for would be found.
    assert hits(searched.parent / "vault")


def test_a_plain_secret_that_only_the_backend_knows_is_one_is_refused(searched: Path, write: Any) -> None:
    made, wrong = checked_settings("storage", "chatterbox", {"root": "/x", "pin": CANARY})
    assert "pin" in wrong
    assert CANARY not in repr(wrong) + repr(made)
    write(f'[storage.x]\ntype = "chatterbox"\nroot = "/x"\npassword = "env:A_KEY"\npin = "{CANARY}"\n')
    said = said_by(lambda: open_storage("x"))
    assert "secret itself" in said
    assert CANARY not in said


def _until_gone(pid: int) -> None:
    """Until the runner has ended; launch() leaves a thread that waits for it."""
    for thread in threading.enumerate():
        if thread.name == f"themis-runner-{pid}":
            thread.join(60)
            assert not thread.is_alive()
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
