"""Colours: one accent, one for bad, one for running, two greys."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="themis-dark",
    dark=True,
    primary="#d9b36c",
    secondary="#9aa3b2",
    accent="#d9b36c",
    success="#79b8a4",
    warning="#d9b36c",
    error="#e27d72",
    foreground="#d5d9e0",
    background="#13161b",
    surface="#191d24",
    panel="#1f242d",
    variables={
        "bad": "#e27d72",
        "running": "#79b8a4",
        "dim": "#929baa",
        "faint": "#656e7c",
        "raised": "#252b36",
        "field": "#1e232c",
        "input-selection-background": "#d9b36c 30%",
    },
)

LIGHT = Theme(
    name="themis-light",
    dark=False,
    primary="#8a5f10",
    secondary="#5c6472",
    accent="#8a5f10",
    success="#1d7460",
    warning="#8a5f10",
    error="#b23a2e",
    foreground="#262a31",
    background="#faf8f3",
    surface="#f3f0e8",
    panel="#ece8de",
    variables={
        "bad": "#b23a2e",
        "running": "#1d7460",
        "dim": "#5c6472",
        "faint": "#8d94a0",
        "raised": "#e8e1d0",
        "field": "#efebe1",
    },
)

OURS = (DARK, LIGHT)


def own_variables(theme: Theme) -> dict[str, str]:
    """Our colour names for a theme that does not know them."""
    if theme.ansi:
        return {
            "bad": "ansi_red",
            "running": "ansi_cyan",
            "dim": "ansi_default",
            "faint": "ansi_bright_black",
            "raised": "ansi_bright_black",
            "field": "ansi_default",
        }
    return {
        "bad": theme.error or "#e27d72",
        "running": theme.success or "#79b8a4",
        "dim": theme.secondary or theme.primary,
        "faint": "#7a8290",
        "raised": theme.panel or "#252b36",
        "field": theme.surface or "#1e232c",
    }
