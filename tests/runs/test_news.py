"""What finished, failed or stalled since the last look."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from themis.core.directories import state_dir
from themis.evaluation.host import host_name
from themis.runs import news as news_module
from themis.runs.news import News, Seen
from themis.runs.query import row_test
from themis.runs.row import row_of


def row(run_id, status="completed", created=1.0, store="local", **more):
    return row_of(store, {"run_id": run_id, "status": status, "created_at": created, **more})


def told(news):
    kinds = {
        "finished": news.finished,
        "failed": news.failed,
        "stalled": news.stalled,
        "elsewhere": news.started_elsewhere,
    }
    return {kind: [each.run_id for each in rows] for kind, rows in kinds.items() if rows}


def test_at_the_first_look_nothing_is_news():
    rows = [row("a"), row("b", "failed")]
    assert not Seen().news(rows)
    assert Seen().last_look("local") is None
    assert not Seen().is_new(rows[0])


def test_what_became_of_runs_since_is_news_until_it_is_marked():
    before = [row("a", "queued"), row("b", "queued"), row("c", "queued"), row("d"), row("e", "queued")]
    Seen().mark(before)
    now = [
        row("a", "completed"),
        row("b", "failed"),
        row("c", "paused", status_reason="fatal: 401"),
        row("d"),
        row("e", "paused", status_reason="interrupted"),
        row("f", "completed"),
        row("g", "cancelled"),
    ]
    seen = Seen()
    assert told(seen.news(now)) == {"finished": ["a", "f"], "failed": ["b"], "stalled": ["c"]}
    assert told(Seen().news(now)) == told(seen.news(now))
    seen.mark(now)
    assert told(seen.news(now)) == {}
    assert not Seen().news(now)
    assert Seen().last_look("local") is not None


def test_what_runs_elsewhere_is_news_once_begun():
    Seen().mark([row("known", "queued", where={"host": "other"})])
    now = [
        row("known", "queued", status_reason="again", ended_at=3.0, where={"host": "other"}),
        row("theirs", "queued", where={"host": "other"}),
        row("colleague", "queued", where={"host": host_name(), "user": "somebody-else"}),
        row("ours", "queued", where={"host": host_name(), "user": str(os.getuid())}),
    ]
    assert told(Seen().news(now)) == {"elsewhere": ["theirs", "colleague"]}


def test_a_run_that_went_on_and_ended_again_is_news():
    Seen().mark([row("a", ended_at=5.0)])
    assert told(Seen().news([row("a", ended_at=5.0)])) == {}
    assert told(Seen().news([row("a", ended_at=4.0)])) == {"finished": ["a"]}


def test_the_trash_is_no_news():
    Seen().mark([row("a", "queued")])
    assert not Seen().news([row("a", "failed", annotations={"trash": {"at": 1}})])


def test_stores_are_told_apart_and_an_empty_one_can_be_looked_at():
    Seen().mark([row("a", store="one")], stores=["two"])
    rows = [row("b", store="one"), row("b", store="two"), row("b", store="three")]
    assert [each.store for each in Seen().news(rows).finished] == ["one", "two"]


def test_clocks_may_jump(monkeypatch):
    monkeypatch.setattr(news_module.time, "time", lambda: 4e9)
    Seen().mark([row("a", "queued", created=4e9)])
    monkeypatch.setattr(news_module.time, "time", lambda: 1.0)
    assert told(Seen().news([row("a", created=4e9), row("b", created=0.5)])) == {"finished": ["a", "b"]}
    Seen().mark([row("a", created=4e9)])
    assert Seen().last_look("local") == 1.0


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(news_module, "MOST_SEEN", 10)
    rows = [row(f"r{n}", created=float(n)) for n in range(1, 100)]
    rows[3] = row("r4", "queued", created=4.0)
    Seen().mark(rows)
    assert not Seen().news(rows)
    rows[3] = row("r4", "failed", created=4.0)
    rows.append(row("new", created=100.0))
    assert told(Seen().news(rows)) == {"finished": ["new"], "failed": ["r4"]}
    for turn in range(5):
        Seen().mark([row(f"p{turn}{n}", created=200.0 + n) for n in range(30)], whole=False)
    with Seen()._connection(write=False) as connection:
        assert connection.execute("select count(*) from run").fetchone()[0] <= 20


def test_some_rows_can_be_marked_without_forgetting_the_others():
    Seen().mark([row("a", "queued"), row("b", "queued")])
    Seen().mark([row("a", "failed")], whole=False)
    assert told(Seen().news([row("a", "failed"), row("b", "failed")])) == {"failed": ["b"]}


def test_the_file_is_for_the_user_alone_and_holds_no_password():
    store = "postgresql://me:s3cret@host/db"
    Seen().mark([row("a", store=store)])
    path = state_dir() / "seen.sqlite"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"s3cret" not in path.read_bytes()
    assert Seen().last_look(store) is not None


@pytest.mark.parametrize(
    "damage", [b"no database at all" * 100, b"", b"SQLite format 3\x00" + b"\xff" * 2_000]
)
def test_a_damaged_file_is_begun_anew(damage):
    path = state_dir() / "seen.sqlite"
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)
    assert not Seen().news([row("a")])
    Seen().mark([row("a")])
    Seen().mark([row("a")])
    assert Seen().last_look("local") is not None


def test_damage_within_a_file_is_mended_too():
    path = state_dir() / "seen.sqlite"
    Seen().mark([row(f"r{n}") for n in range(500)])
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    for _ in range(2):
        Seen().news([row("a")])
        Seen().mark([row("a")])
    assert Seen().last_look("local") is not None


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    seen = Seen(blocked / "seen.sqlite")
    seen.mark([row("a")])
    assert seen.news([row("a", "failed")]) == News()


def test_texts_of_strangers_are_remembered_as_they_are():
    odd = [row("\ud800\x00", "\ud800"), row("é" * 1_000, "\x1b[2J", created=None), row("n", ended_at=10**30)]
    odd.append(row("late", created=10**30))
    Seen().mark(odd)
    assert not any(Seen().is_new(each) for each in odd)
    assert Seen().is_new(row("\ud800\x00", "done"))


def test_two_apps_at_once():
    errors = []

    def app(number):
        try:
            for turn in range(20):
                seen = Seen()
                seen.mark([row(f"r{n}", created=float(n)) for n in range(turn + 1)])
                seen.news([row("x", "failed")])
        except Exception as exc:
            errors.append(exc)

    threads = [threading.Thread(target=app, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not Seen().news([row(f"r{n}", created=float(n)) for n in range(20)])


def test_new_in_a_query_is_what_was_not_seen():
    Seen().mark([row("a")])
    test = row_test("is:new")
    assert [each.run_id for each in (row("a"), row("b"), row("a", "failed")) if test(each)] == ["b", "a"]
