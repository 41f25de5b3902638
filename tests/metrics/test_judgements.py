"""What judges said before, kept for all processes of a machine."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

from themis.core.directories import cache_dir
from themis.metrics.judgements import cached_judgement, keep_judgement

WRITING = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None) as connection:
    connection.execute("begin immediate")
"""
KEEPING = """
import sys
from themis.metrics.judgements import cached_judgement, keep_judgement
for number in range(100):
    keep_judgement(f"{sys.argv[1]}.{number}", f"said {number}" + "x" * 3_000)
    cached_judgement(f"{sys.argv[1]}.{number // 2}")
"""


def path() -> Path:
    return cache_dir() / "judgements.1.sqlite"


def test_what_was_said_is_found_again_and_read_by_nobody_else() -> None:
    assert cached_judgement("a") is None
    keep_judgement("a", "half \ud800")
    assert cached_judgement("a") == "half \ud800"
    assert stat.S_IMODE(path().stat().st_mode) == 0o600
    path().unlink()
    keep_judgement("b", "again")
    assert stat.S_IMODE(path().stat().st_mode) == 0o600


def test_looking_drops_no_lock_that_another_thread_holds() -> None:
    keep_judgement("a", "said")
    with closing(sqlite3.connect(path(), isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("begin immediate")
        looking = threading.Thread(target=cached_judgement, args=("a",))
        looking.start()
        looking.join()
        other = subprocess.run(
            [sys.executable, "-c", WRITING, str(path())], capture_output=True, text=True, check=False
        )
        assert "database is locked" in other.stderr
        connection.execute("rollback")


def test_many_processes_and_threads_damage_nothing() -> None:
    keeping = [subprocess.Popen([sys.executable, "-c", KEEPING, str(number)]) for number in range(3)]
    threads = [
        threading.Thread(target=lambda: [keep_judgement(f"t{n}", "said") for n in range(100)])
        for _ in range(3)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [each.wait() for each in keeping] == [0, 0, 0]
    with closing(sqlite3.connect(path())) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("select count(*) from judgement").fetchone()[0] > 0
