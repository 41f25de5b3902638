"""``themis doctor`` and ``themis runs doctor``."""

from __future__ import annotations

import os

from themis.cli.backends import _step_line
from themis.cli.doctor import _say_check
from themis.runs.installation import Check


def test_all_in_order(themis, finished):
    ran = themis("runs", "doctor")
    assert ran.code == 0
    first, second = ran.out.splitlines()
    assert first == "local: 1 run"
    assert second.startswith("local:ten  completed: 10 generations, ")
    assert themis("runs", "doctor", finished, "--json").json["runs"][0]["counts"]["evaluations"] == 10
    ran = themis("doctor")
    assert ran.code == 0
    assert ran.out.endswith("All is in order.\n")
    for said in ("versions", "textual", "pip install 'themis-tui[", "TERM", "UTF-8", "works, 1 run,"):
        assert said in ran.out


def test_what_is_wrong_is_told_and_mended(themis, finished, store, tmp_path):
    folder = store.root / "runs" / "ten"
    stray = folder / ".run.json.abc.tmp"
    stray.write_text("{")
    os.utime(stray, (1, 1))
    ran = themis("runs", "doctor")
    assert ran.code == 1
    assert "!! stray" in ran.out
    assert ran.err == "--fix mends 1 of them.\n"
    (said,) = themis("runs", "doctor", "--json").json["runs"][0]["findings"]
    assert (said["kind"], said["can_fix"]) == ("stray", True)
    ran = themis("runs", "doctor", "--fix")
    assert ran.code == 0
    assert "✓ mended" in ran.out
    assert not stray.exists()
    assert themis("runs", "doctor").code == 0


def test_a_store_that_does_not_work(themis, tmp_path):
    root = tmp_path / "new"
    root.mkdir()
    (root / "themis-store.json").write_text('{"layout": 99}')
    ran = themis("doctor", "--storage", "./new", "--json")
    assert ran.code == 1
    assert not ran.json["ok"]
    (store,) = [each for each in ran.json["checks"] if each["group"] == "stores"]
    assert "layout 99" in store["said"]
    assert "thing to mend" in themis("doctor", "--storage", "./new").out
    assert themis("runs", "doctor", "--storage", "./new").code == 5
    assert themis("runs", "doctor", "nothing").code == 2


def test_a_remedy_at_the_end_of_a_long_message_is_not_cut_off(capsys):
    said = "x " * 300 + "do this"
    assert _step_line("reach", "failed", "1 ms", said).endswith("do this")
    _say_check(Check("stores", "far", False, said, f"{said} too"))
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("do this")
    assert second.endswith("do this too")
