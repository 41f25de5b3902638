"""Questions with lettered options."""

from __future__ import annotations

import json
from string import ascii_uppercase
from typing import Any

LETTER_ONLY = "Answer with the letter of the right option only."


def lettered(choices: list[str]) -> str:
    """The options, one a line: ``A. first``."""
    return "\n".join(f"{letter_of(index)}. {choice}" for index, choice in enumerate(choices))


def letter_of(index: int) -> str:
    """The letter of an option, from 0. Raises ``ValueError`` for one that is not in the alphabet."""
    if not 0 <= index < len(ascii_uppercase):
        raise ValueError(f"there is no option {index}")
    return ascii_uppercase[index]


def texts(value: Any) -> list[str]:
    """A list of options; in a CSV file it is written as JSON. Raises ``ValueError`` for what is none."""
    made = json.loads(value) if isinstance(value, str) else value
    if not isinstance(made, list) or not made or not all(isinstance(each, str) for each in made):
        raise ValueError(f"{value!r:.100} is not a list of options")
    return made
