"""Records that wait on this machine: what the commands say of them."""

from __future__ import annotations

import os

import pytest

from tests.backends.far import FarStorage
from tests.backends.test_journalled import RUN, killed_writer
from themis.runs.catalog import Store
from themis.testing.storage.examples import generation


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Where the store that every command opens is."""
    root = tmp_path / "far" / "store"
    backend = FarStorage(root)
    backend.save_run_metadata(RUN, {"run_id": RUN, "status": "failed"})
    backend.close()

    def opened(*_):
        return Store("far", FarStorage(root))

    monkeypatch.setattr("themis.cli.recover.open_store", opened)
    monkeypatch.setattr("themis.cli.show.find_run", lambda *_: (opened(), RUN))
    return root


def test_what_a_living_process_sends_is_told_with_the_process(themis, root):
    writer = FarStorage(root, slow=True)
    writer.save_generation_record(RUN, generation("a"))
    for more in ((), ("--dry-run",)):
        said = themis("runs", "recover", *more)
        assert said.out.startswith(f"far:{RUN}  ")
        assert said.out.endswith(f" wait; its process {os.getpid()} still runs and sends them itself\n")
        assert said.err == ""
        (waiting,) = themis("runs", "recover", *more, "--json").json["sent_by_their_process"]
        assert (waiting["run_id"], waiting["living"], waiting["pid"]) == (RUN, True, os.getpid())
    writer.close()
    assert "Nothing was left on this machine for far." in themis("runs", "recover").err


def test_a_crashed_run_shows_what_waits_here_until_it_is_sent(themis, root):
    killed_writer(root)
    assert f"wait on this machine for the store; send them: themis runs recover {RUN} --storage far" in (
        themis("runs", "show", RUN).out
    )
    assert themis("runs", "show", RUN, "--json").json["unsent_bytes"] > 500
    assert themis("runs", "recover").out == f"far:{RUN}  sent, 2 files of records\n"
    assert "unsent" not in themis("runs", "show", RUN).out
