"""``themis profiles``: the user's endpoints, and whether they answer."""

from __future__ import annotations

import argparse
from contextlib import closing

from themis.cli import output
from themis.cli.backends import tell_steps
from themis.models import open_model
from themis.profiles import load_profiles, profiles_path
from themis.runs import exit_codes

_EXAMPLE = """\
No endpoints yet. Name one in {path}:

    [endpoint.lab]
    base_url = "https://models.example.org/v1"
    model = "NAME"
    key = "env:LAB_KEY"
"""


def list_profiles(given: argparse.Namespace) -> int:
    """Print the endpoints of ``profiles.toml``."""
    endpoints = load_profiles().endpoints
    if given.json:
        output.say_json([dict(each.__dict__) for each in endpoints.values()])
    elif not endpoints:
        output.say(_EXAMPLE.format(path=profiles_path()))
    else:
        rows = [
            ("endpoint", each.name, each.model or "", each.base_url, each.key or "")
            for each in endpoints.values()
        ]
        output.say(output.table(("KIND", "NAME", "MODEL", "ADDRESS", "KEY"), rows, most=120))
    return exit_codes.DONE


def check_profile(given: argparse.Namespace) -> int:
    """Try an endpoint, or any other model, step by step; the last step asks it one short question."""
    with closing(open_model(given.name)) as model:
        return tell_steps(given.name, model.check(), as_json=given.json)
