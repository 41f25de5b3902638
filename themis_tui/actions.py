"""Everything that can be done, in one registry: keys, help and palette are made from it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Action:
    """One thing a person can do, and where."""

    name: str
    """The screen's method is ``do_<name>``; ``why_not_<name>`` may say why it is not possible now."""
    keys: str
    word: str
    """For the footer and the palette."""
    help: str
    footer: bool = False
    display: str | None = None
    """How the key is written where that is not plain."""
    palette: bool = True
    textual: bool = False
    """Whether Textual has the method for it."""


_BACK = Action("back", "escape", "back", "Go back", footer=True, display="esc", palette=False)

ACTIONS: dict[str, tuple[Action, ...]] = {
    "app": (
        Action(
            "command_palette",
            "colon,ctrl+p",
            "commands",
            "Find a command by name",
            display=":",
            palette=False,
            textual=True,
        ),
        Action("help", "question_mark,f1", "help", "Show every key of this screen", True, "?"),
        Action("suspend", "ctrl+z", "suspend", "Go to the shell; runs go on, 'fg' comes back"),
        Action("theme", "f2", "next theme", "Dark, light, or the terminal's own colours"),
    ),
    "table": (
        Action("cursor(1)", "j,down", "down", "One row down", palette=False),
        Action("cursor(-1)", "k,up", "up", "One row up", palette=False),
        Action("edge(-1)", "g,home", "top", "The first row", palette=False),
        Action("edge(1)", "G,end", "bottom", "The last row", palette=False),
        Action("page(1)", "ctrl+d,pagedown", "page down", "A page down", palette=False),
        Action("page(-1)", "ctrl+u,pageup", "page up", "A page up", palette=False),
        Action("open", "enter", "open", "Open the row under the cursor", True, palette=False),
    ),
    "marks": (
        Action("mark", "space", "mark", "Mark or unmark the row; marked rows are the target", True),
        Action("mark_range", "v", "mark range", "Mark from the last mark to here"),
        Action("clear_marks", "ctrl+backslash", "clear marks", "Unmark every row", display="ctrl+\\"),
    ),
    "runs": (
        Action("new_run", "plus", "new run", "Fill in a form and launch a run", True, "+"),
        Action("filter", "slash", "filter", "Show only runs that match words", True, "/"),
        Action("sort", "S", "sort", "Choose the order: by any column, either way round"),
        Action("clear", "escape", "clear filter", "Drop the filter, then the marks", display="esc"),
        Action("again", "a", "run again", "The form, filled in like this run"),
        Action("cancel", "x", "cancel", "Stop a live run for good; its answers stay", True),
        Action("pause", "P", "pause", "Stop a live run, or go on with one that stopped"),
        Action("delete", "D", "delete", "Move runs to the trash; those in it (is:trashed) for good", True),
        Action(
            "undo",
            "z",
            "undo",
            "Take back the last change; or bring back what is marked in the trash",
        ),
        Action("log", "l", "log", "What the runner printed", True),
        Action("annotate", "e", "name, notes", "Say something of the run: its name, tags and notes"),
        Action("tag", "t", "tags", "Tag the run; of several marked runs, add tags and take tags away"),
        Action("pin", "asterisk", "pin", "Pin the run, or let it go; is:pinned finds those", display="*"),
        Action("copy", "C", "copy", "Copy runs to another store, read back and verified"),
        Action("compare", "c", "compare", "Compare the marked runs; of one run, choose the other", True),
        Action("profiles", "p", "profiles", "Storages, executors and models by name: add, change, try them"),
        Action("doctor", "i", "check store", "Look through the run's store for what is wrong, and mend it"),
        Action("installation", "I", "check all", "What this installation, machine and every store can do"),
        Action("copy_id", "y", "copy id", "Send the run's id to the clipboard"),
        Action("copy_command", "Y", "copy command", "Send the command that does the same to the clipboard"),
        Action("reload", "r", "refresh", "Look at the store again now"),
        Action("quit", "q", "quit", "Leave; runs go on", True),
    ),
    "run": (
        Action("show", "f", "show", "All samples, wrong ones, errors", True),
        Action("next_wrong", "n", "next wrong", "Jump to the next wrong sample"),
        Action("previous_wrong", "N", "previous wrong", "Jump to the wrong sample before"),
        Action("sort", "S", "sort", "Choose the order: by any column, either way round"),
        Action("filter", "slash", "filter", "Show only samples that hold words", True, "/"),
        Action("cancel", "x", "cancel", "Stop this run for good; its answers stay", True),
        Action("pause", "P", "pause", "Stop this run, or go on with it", True),
        _BACK,
        Action("samples", "1", "samples", "The samples of this run", True),
        Action("config", "2", "config", "What was said of it, what was asked, and where it runs", True),
        Action("log", "l,3", "log", "What the runner printed, as it comes", True),
        Action("again", "a", "run again", "The form, filled in like this run", True),
        Action("annotate", "e", "name, notes", "Say something of the run: its name, tags and notes"),
        Action("tag", "t", "tags", "The same, beginning at the tags"),
        Action("undo", "z", "undo", "Take back the last change of name, tags and notes"),
        Action("pin", "asterisk", "pin", "Pin this run, or let it go", display="*"),
        Action("copy", "C", "copy", "Copy this run to another store, read back and verified"),
        Action("compare", "c", "compare", "Compare this run with another"),
        Action("copy_id", "y", "copy id", "Send the run's id to the clipboard"),
        Action("copy_command", "Y", "copy command", "Send the command that does the same to the clipboard"),
        Action("reload", "r", "refresh", "Look at the store again now"),
        Action("quit", "q", "quit", "Leave; runs go on"),
    ),
    "sample": (
        Action("next(1)", "j,right", "next", "The next sample of the list", True, "j/k", palette=False),
        Action("next(-1)", "k,left", "previous", "The sample before", palette=False),
        Action("next_wrong", "n", "next wrong", "The next wrong sample", True),
        Action("previous_wrong", "N", "previous wrong", "The wrong sample before"),
        Action("raw", "r", "raw", "The two records as they are stored", True),
        Action("copy_id", "y", "copy id", "Send the sample's id to the clipboard"),
        Action("write", "w", "write to file", "Write the two records to a file here", True),
        _BACK,
        Action("quit", "q", "quit", "Leave; runs go on"),
    ),
    "compare": (
        Action("show", "f", "show", "Changed samples, fixed, broken, both right, both wrong, all", True),
        Action("filter", "slash", "filter", "Show only samples whose id or tags hold words", True, "/"),
        Action("metric", "m", "metric", "Look by the next metric", True),
        Action("export", "E", "export", "Write it to a file: Markdown, HTML, CSV, JSON", True),
        _BACK,
        Action("flips", "1", "flips", "What became of each sample"),
        Action("tags", "2", "by tag", "The same for each tag; enter shows its samples", True),
        Action("figures", "3", "figures", "Every figure, how it was made, and what it can show", True),
        Action("config", "4", "config", "Every setting in which the two runs differ", True),
        Action("errors", "5", "errors", "What went wrong in each run, alike ones together", True),
        Action("pairs", "0", "pairs", "All pairs of runs, one a line"),
        Action("next_pair", "right_square_bracket", "next pair", "The next pair of runs", display="]"),
        Action("previous_pair", "left_square_bracket", "pair before", "The pair of runs before", display="["),
        Action(
            "treat",
            "o",
            "errors as zero",
            "Count answers that ended in an error as zero, or leave them out",
            True,
        ),
        Action("all_pairs", "p", "all pairs", "Compare each with each, or all with the baseline", True),
        Action("baseline", "b", "baseline", "Choose the run that the others are compared with"),
        Action("force", "F", "force", "Compare metrics of different versions all the same, and say so"),
        Action("copy_command", "Y", "copy command", "Send the command that does the same to the clipboard"),
        Action("reload", "r", "refresh", "Read the runs again"),
        Action("quit", "q", "quit", "Leave; runs go on"),
    ),
    "flip": (
        Action("next(1)", "j,right", "next", "The next sample of the list", True, "j/k", palette=False),
        Action("next(-1)", "k,left", "previous", "The sample before", palette=False),
        Action("copy_id", "y", "copy id", "Send the sample's id to the clipboard", True),
        _BACK,
        Action("quit", "q", "quit", "Leave; runs go on"),
    ),
    "reader": (
        Action("scroll_lines(1)", "down", "down", "A line down", palette=False),
        Action("scroll_lines(-1)", "up", "up", "A line up", palette=False),
        Action("scroll_pages(1)", "ctrl+d,pagedown", "page down", "A page down", palette=False),
        Action("scroll_pages(-1)", "ctrl+u,pageup", "page up", "A page up", palette=False),
        Action("scroll_edge(-1)", "g,home", "top", "The beginning", palette=False),
        Action("scroll_edge(1)", "G,end", "bottom", "The end", palette=False),
    ),
    "text": (_BACK, Action("quit", "q", "quit", "Leave; runs go on")),
    "new_run": (
        Action("launch", "f5,ctrl+enter,ctrl+s", "launch", "Start this run", True, "f5"),
        Action("test", "f4", "test model", "Try the model: its key, its address, one short question", True),
        Action("copy_command", "f6", "copy command", "Send the command that does the same", True),
        _BACK,
    ),
    "profiles": (
        Action("add", "a", "add", "Fill in a form for a new profile", True),
        Action("edit", "e", "edit", "Change the profile under the cursor"),
        Action("test", "t", "test", "Try it step by step: resolve, connect, write, read back, delete", True),
        Action("default", "asterisk", "default", "Make it the one meant where none is named", True, "*"),
        Action("remove", "D", "remove", "Take it out of the file, after a question; runs stay", True),
        _BACK,
        Action("duplicate", "d", "duplicate", "The form of a new profile, filled in like this one", True),
        Action("doctor", "i", "check store", "Look through this store for what is wrong, and mend it"),
        Action("installation", "I", "check all", "What this installation, machine and every store can do"),
        Action("reload", "r", "refresh", "Read the file again now"),
        Action("quit", "q", "quit", "Leave; runs go on"),
    ),
    "annotate": (
        Action("save", "f5,ctrl+enter,ctrl+s", "save", "Write it down", True, "f5", palette=False),
        Action("leave", "escape", "cancel", "Leave all as it was", True, "esc", palette=False),
    ),
    "doctor": (
        Action("mend", "f", "mend", "Mend what is safe to mend, after a question", True),
        _BACK,
        Action("reload", "r", "look again", "Look through all of it again", True),
        Action("quit", "q", "quit", "Leave; runs go on"),
    ),
    "profile_form": (
        Action("save", "f5,ctrl+enter,ctrl+s", "save", "Write the profile to the file", True, "f5"),
        _BACK,
    ),
}
"""Place to what can be done there, the most wanted first."""


def bindings(*places: str, direct: bool = False) -> list[Binding]:
    """The key map of a screen or widget. ``direct``: its methods are Textual's own ``action_…``."""
    return [
        Binding(
            action.keys,
            action.name if direct or action.textual or "(" in action.name else f"do('{action.name}')",
            action.word,
            show=action.footer,
            key_display=action.display,
            tooltip=action.help,
            id=f"{place}.{action.name}",
        )
        for place in places
        for action in ACTIONS[place]
    ]
