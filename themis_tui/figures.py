"""Numbers as people read them, short enough for a column."""

from __future__ import annotations

from collections.abc import Sequence

from themis_tui.glyphs import EMPTY, FULL, LEFT_END, POINT, RIGHT_END, RULE, SPARKS, ZERO
from themis_tui.glyphs import NONE as NONE

Z = 1.96
"""Half widths are of 95 % intervals."""


def score(value: float | None) -> str:
    """``.142``; ``1.000``; ``12.3``."""
    if value is None:
        return NONE
    if abs(value) >= 10:
        return f"{value:.1f}"
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def half_width(stderr: float | None) -> str:
    """``±.024``, or nothing where it is unknown."""
    return "" if stderr is None else "±" + score(Z * stderr)


def count(value: int | None) -> str:
    """``1,319``; from 100,000 on ``412k``."""
    if value is None:
        return NONE
    if value < 100_000:
        return f"{value:,}"
    if value < 10_000_000:
        return f"{value / 1e3:,.0f}k"
    return f"{value / 1e6:,.1f}M"


def done_of(done: int | None, total: int | None) -> str:
    """``812/1,319``; one number where both are the same."""
    if done is None or done == total or total is None:
        return count(done)
    return f"{count(done)}/{count(total)}"


def brief(value: int | None) -> str:
    """``812``, ``1.3k``: at most four characters below a million."""
    if value is None or value < 1_000:
        return count(value)
    return (
        f"{value / 1e3:.1f}k" if value < 9_950 else f"{value / 1e3:.0f}k" if value < 999_500 else count(value)
    )


def seconds(value: float | None) -> str:
    """``20ms``, ``4.1s``, ``14m 02s``, ``2h 05m``."""
    if value is None:
        return NONE
    value = max(0.0, value)
    if value < 0.9995:
        return f"{value * 1e3:.0f}ms"
    if value < 59.5:
        return f"{value:.1f}s" if value < 9.95 else f"{value:.0f}s"
    if value < 3_599.5:
        return f"{int(value + 0.5) // 60}m {int(value + 0.5) % 60:02d}s"
    value += 30
    if value < 172_800:
        return f"{int(value) // 3600}h {int(value) % 3600 // 60:02d}m"
    return f"{int(value) // 86_400}d {int(value) % 86_400 // 3600:02d}h"


def age(value: float | None) -> str:
    """``now``, ``42s``, ``4m``, ``2h``, ``3d``, ``5w``."""
    if value is None:
        return NONE
    if value < 2:
        return "now"
    for least, size, unit in ((0, 1, "s"), (60, 60, "m"), (3_600, 3_600, "h"), (86_400, 86_400, "d")):
        if value < (60, 3_600, 86_400, 864_000)[("s", "m", "h", "d").index(unit)] and value >= least:
            return f"{int(value // size)}{unit}"
    weeks = int(value // 604_800)
    return f"{weeks}w" if weeks < 100 else f"{int(value // 31_557_600)}y"


def ago(value: float | None) -> str:
    """``now``, ``42s ago``."""
    when = age(value)
    return when if when in ("now", NONE) else f"{when} ago"


def eta(span: Sequence[float] | None) -> str:
    """``3m–4m``; one figure where both ends read the same."""
    if not span or len(span) != 2:
        return NONE
    low, high = (_rough(each) for each in span)
    return low if low == high else f"{low}–{high}"


def rate(value: float | None) -> str:
    """``3.1/s``, or ``12/min`` where it is slow."""
    if value is None:
        return NONE
    if value < 0.5:
        return f"{value * 60:.1f}/min"
    return f"{value:.1f}/s" if value < 100 else f"{value:,.0f}/s"


def bar(done: int, total: int | None, width: int) -> tuple[str, str]:
    """The full and the empty part of a bar."""
    if not total or width < 1:
        return "", EMPTY * max(0, width)
    full = min(width, max(0, done * width // total))
    return FULL * full, EMPTY * (width - full)


def sparkline(values: Sequence[float], width: int) -> str:
    """The last values as a row of small columns."""
    last = list(values)[-width:] if width > 0 else []
    top = max(last, default=0.0)
    if top <= 0:
        return SPARKS[0] * len(last)
    most = len(SPARKS) - 1
    return "".join(SPARKS[min(most, max(0, round(value / top * most)))] for value in last)


def interval(mean: float, low: float | None, high: float | None, width: int) -> tuple[str, str, str]:
    """A scale from 0 to 1 up to the interval, the interval with its mean, the rest of the scale.

    Empty where they do not lie on it.
    """
    if low is None or high is None or not 0 <= low <= mean <= high <= 1 or width < 8:
        return "", "", ""
    left, middle, right = (round(each * (width - 1)) for each in (low, mean, high))
    places = [RULE] * width
    places[left], places[right], places[middle] = LEFT_END, RIGHT_END, POINT
    drawn = "".join(places)
    return drawn[:left], drawn[left : right + 1], drawn[right + 1 :]


def difference(
    found: float | None, low: float | None, high: float | None, reach: float, width: int
) -> tuple[str, str, str]:
    """As :func:`interval`, on a scale from ``-reach`` to ``reach`` on which no difference is marked.

    Empty where one of them is unknown.
    """
    if found is None or low is None or high is None or reach <= 0 or width < 7:
        return "", "", ""
    width -= 1 - width % 2  # no difference lies in the middle
    left, middle, right = (
        round((min(reach, max(-reach, each)) / reach + 1) / 2 * (width - 1)) for each in (low, found, high)
    )
    places = [RULE] * width
    places[width // 2] = ZERO
    places[left], places[right], places[middle] = LEFT_END, RIGHT_END, POINT
    drawn = "".join(places)
    return drawn[:left], drawn[left : right + 1], drawn[right + 1 :]


def signed(value: float | None) -> str:
    """``+.035``, ``−.012``; with the sign that a keyboard has, so that it can be searched for."""
    if value is None:
        return NONE
    return ("-" if value < 0 else "+") + score(abs(value))


def _rough(value: float) -> str:
    if value < 60:
        return f"{value:.0f}s"
    if value < 5_400:
        return f"{value / 60:.0f}m"
    return f"{value / 3_600:.1f}h" if value < 172_800 else f"{value / 86_400:.1f}d"


def size(count: int) -> str:
    """Bytes, in the unit that leaves few digits: ``512 B``, ``1.4 MB``."""
    number, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1_000:
            break
        number, unit = number / 1_000, larger
    return f"{number:.0f} {unit}" if unit == "B" or number >= 10 else f"{number:.1f} {unit}"
