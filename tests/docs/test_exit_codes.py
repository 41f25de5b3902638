"""The page and the help say the same of exit codes as the code."""

from __future__ import annotations

import re

from printed import ROOT

from themis.cli.main import make_parser
from themis.runs import exit_codes


def test_page_and_help_have_every_code() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    helped = {int(code) for code in re.findall(r"^  (\d+)  ", make_parser().format_help(), re.MULTILINE)}
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert told == helped == codes | {3}
