"""Models: what is asked, and how a name becomes one."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from themis.core.errors import UnknownName, UsageError
from themis.core.options import build, split_query
from themis.models.base import PLAIN_SAMPLING, Answer, Model, Prompt, Request
from themis.profiles import load_profiles, profiles_path

__all__ = [
    "PLAIN_SAMPLING",
    "Answer",
    "Model",
    "Prompt",
    "Request",
    "default_model",
    "model_names",
    "open_model",
]


def open_model(model: str | Model | Callable[[Any], Any], model_id: str | None = None) -> Model:
    """The model that a name, a function or a ready model means; ``model_id`` replaces its identity.

    Names: ``fake-math-llm?latency=50ms``, ``openai:NAME?base_url=…``, ``litellm:PROVIDER/NAME``,
    ``python:module:function``, and ``ENDPOINT`` or ``ENDPOINT:MODEL`` for an endpoint of the user's profiles.
    Raises :class:`UnknownName` with the names there are, :class:`UsageError` for options a model does not
    have, :class:`MissingExtra` with the command that installs what is missing.
    """
    opened = _opened(model)
    if model_id is not None:
        # The caller's own model keeps its identity.
        opened = copy.copy(opened)
        opened.identity = model_id
    return opened


def default_model() -> str | None:
    """The model meant where none is named: the default endpoint of the profiles, if there is one."""
    return load_profiles().default("endpoint")


def model_names() -> list[str]:
    """The forms a model name can have, for messages and completion: the user's own endpoints first."""
    return [
        *sorted(load_profiles().endpoints),
        "fake-math-llm",
        "openai:NAME?base_url=…",
        "litellm:PROVIDER/NAME",
        "python:module:function",
    ]


def _opened(model: str | Model | Callable[[Any], Any]) -> Model:
    if isinstance(model, Model):
        return model
    if not isinstance(model, str):
        if callable(model):
            from themis.models.callables import CallableModel

            return CallableModel(model)
        raise UsageError(f"A model is a name or a function from prompt to text, not {model!r:.100}.")
    base, options = split_query(model)
    kind, colon, rest = base.partition(":")
    if base == "fake-math-llm":
        from themis.models.fake import FakeMathModel

        return build(FakeMathModel, options, f"model {base!r}")
    if kind == "python" and colon:
        from themis.models.callables import from_place

        if options:
            raise UsageError(f"{model!r}: a python: model takes no options.")
        return from_place(rest)
    if kind == "openai" and colon:
        from themis.models.openai_compatible import OpenAICompatibleModel

        return build(OpenAICompatibleModel, {"model": rest, **options}, f"model {base!r}")
    if kind == "litellm" and colon:
        from themis.models.litellm_model import LiteLLMModel

        return build(LiteLLMModel, {"model": rest, **options}, f"model {base!r}")
    endpoint = load_profiles().endpoint(kind)
    if endpoint is not None:
        from themis.models.openai_compatible import OpenAICompatibleModel

        named = {"model": rest} if rest else {}
        made = functools.partial(OpenAICompatibleModel.of_endpoint, endpoint)
        return build(made, {**named, **options}, f"endpoint {kind!r}")
    from difflib import get_close_matches

    near = get_close_matches(kind, [*load_profiles().endpoints, "fake-math-llm"], 1)
    meant = f" Perhaps {near[0]!r} was meant." if near else ""
    raise UnknownName(
        f"There is no model {model!r:.200}.{meant} A model is one of: {', '.join(model_names())}; or an "
        f"endpoint that {profiles_path()} names."
    )
