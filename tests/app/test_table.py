"""The table draws what is visible, and stays where it is."""

from __future__ import annotations

import time

from textual.app import App

from themis_tui.widgets.columns import Column, cell, fitted
from themis_tui.widgets.rows import Rows
from themis_tui.widgets.table import Table


class Shown(App[None]):
    def __init__(self, rows):
        super().__init__()
        self.given = rows
        self.drawn = []

    def get_theme_variable_defaults(self):
        from themis_tui.theme import own_variables

        return own_variables(self.current_theme)

    def compose(self):
        def drawn(row):
            self.drawn.append(row)
            return cell(row)

        yield Table([Column("ROW", drawn, 10)], lambda row: row)

    def on_mount(self):
        self.query_one(Table).show(self.given)
        self.query_one(Table).focus()


async def test_only_visible_rows_are_drawn():
    app = Shown([f"row {n}" for n in range(100_000)])
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause()
        assert 10 <= len(set(app.drawn)) < 30
        app.drawn.clear()
        started = time.perf_counter()
        await pilot.press("G")
        assert app.query_one(Table).row == "row 99999"
        assert len(set(app.drawn)) < 40
        assert time.perf_counter() - started < 2.0


async def test_the_cursor_and_the_view_stay_on_their_row_when_rows_come_above():
    app = Shown([f"row {n}" for n in range(100)])
    async with app.run_test(size=(40, 12)) as pilot:
        table = app.query_one(Table)
        table.go_to(50)
        await pilot.pause()
        height = table.cursor - table.scroll_offset.y
        table.show(["new 1", "new 2", *app.given])
        await pilot.pause()
        assert table.row == "row 50"
        assert table.cursor - table.scroll_offset.y == height


async def test_when_the_row_is_gone_the_cursor_takes_the_next():
    app = Shown(["a", "b", "c"])
    async with app.run_test() as pilot:
        table = app.query_one(Table)
        table.go_to(1)
        table.show(["a", "c"])
        await pilot.pause()
        assert table.key == "c"
        table.show([])
        await pilot.pause()
        assert table.key is None
        assert table.row is None


async def test_a_range_is_marked_from_the_last_mark():
    app = Shown(["a", "b", "c", "d"])
    async with app.run_test():
        table = app.query_one(Table)
        table.mark()
        table.go_to(2)
        table.mark_range()
        assert table.rows.marks == {"a", "b", "c"}
        table.filter(lambda row: row == "d")
        assert table.targets == ["a", "b", "c"], "marks survive the filter"
        table.clear_marks()
        assert table.targets == ["d"]


def test_rows_find_their_places():
    rows = Rows(str)
    rows.replace(["a", "b", "c"])
    rows.filter(lambda row: row != "a")
    assert rows.place("b") == 0
    assert rows.place("a") is None


def test_columns_give_way_by_rank_and_share_what_is_left():
    columns = [
        Column("A", cell, 10, grow=True, most=15),
        Column("B", cell, 10, rank=2),
        Column("C", cell, 10, rank=1, grow=True),
    ]
    assert [(column.title, width) for column, width in fitted(columns, 22)] == [("A", 10), ("C", 10)]
    wide = [(column.title, width) for column, width in fitted(columns, 44)]
    assert wide == [("A", 15), ("B", 10), ("C", 15)]
    short = fitted(columns, 44, {"A": 3, "C": 4})
    assert [(column.title, width) for column, width in short] == [("A", 3), ("B", 10), ("C", 4)]
    assert [column.title for column, _ in fitted(columns, 3)] == ["A"]


def test_a_column_is_made_brief_before_an_important_one_goes_and_after_the_others_went():
    columns = [
        Column("STATUS", cell, 11, brief=lambda row: cell("x")),
        Column("NAME", cell, 10),
        Column("MODEL", cell, 10, rank=2),
        Column("TOOK", cell, 7, rank=5),
    ]

    def titles(room):
        return [(column.title, width) for column, width in fitted(columns, room)]

    assert titles(44) == [("STATUS", 11), ("NAME", 10), ("MODEL", 10), ("TOOK", 7)]
    assert titles(40) == [("STATUS", 11), ("NAME", 10), ("MODEL", 10)]
    assert titles(30) == [("", 1), ("NAME", 10), ("MODEL", 10)]
    assert titles(20) == [("", 1), ("NAME", 10)]
