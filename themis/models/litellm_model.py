"""Models of a hundred providers, by way of the package litellm.

It is an extra of its own: it brings some sixty packages, and takes seconds to load. It is loaded when a
question is asked, never by naming a model.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import threading
from typing import Any

from themis.core.errors import MissingExtra, ModelError, SecretUnavailable, UsageError
from themis.models.base import PLAIN_SAMPLING, Answer, Model, Request
from themis.models.gate import Gate
from themis.models.openai_compatible import CALL_S, checked_address, options_of
from themis.models.reply import Reply, kind_of, retry_after_of, without_key
from themis.models.retry import ask_again
from themis.profiles.secrets import check_reference, resolved

_KINDS = {
    "APIConnectionError": "connection",
    "ContentPolicyViolationError": "filtered",
    "ContextWindowExceededError": "bad_request",
    "Timeout": "timeout",
}
_loading = threading.Lock()


class LiteLLMModel(Model):
    """A model as litellm names it, ``PROVIDER/MODEL``.

    Its key is found by litellm in the variables of the provider, unless ``key`` refers to one (``env:NAME``,
    ``file:path``). litellm itself asks once only: asking again is done by our own layer.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        key: str | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """``timeout`` are the seconds that one request may take, after which it is asked again."""
        if "/" not in model.strip("/"):
            raise UsageError(f"litellm:{model} names no provider; write litellm:PROVIDER/MODEL.")
        if importlib.util.find_spec("litellm") is None:
            raise MissingExtra("litellm models need litellm. Install it: pip install 'themis-tui[litellm]'")
        self.key = None if key is None else check_reference(key)
        self.base_url = base_url
        # A key of the provider's variable may go along, whether or not one is named here.
        place = "" if base_url is None else f"@{checked_address(base_url, self.key or 'env:of-the-provider')}"
        self.call_s = CALL_S if timeout is None else timeout
        self.name = model
        self.identity = f"litellm:{model}{place}"
        self._gate = Gate()

    def answer(self, request: Request) -> Answer:
        return ask_again(self._ask, request, gate=self._gate)

    def check_sampling(self, sampling: dict[str, Any]) -> None:
        # Others would be taken for litellm's own: addresses, keys, headers, retries.
        wrong = [name for name in sampling if name not in PLAIN_SAMPLING]
        if wrong:
            raise UsageError(
                f"sampling cannot set {wrong[0]!r} for litellm; it takes {', '.join(sorted(PLAIN_SAMPLING))}."
            )

    def trouble(self) -> str | None:
        return self._gate.trouble()

    def begin(self) -> None:
        self._gate.reset()
        if self.key is not None:
            resolved(self.key)  # said before anything is stored

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_gate"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._gate = Gate()

    def _ask(self, request: Request) -> Answer:
        try:
            key = None if self.key is None else resolved(self.key)
        except (MissingExtra, SecretUnavailable) as exc:
            raise ModelError(str(exc), kind="auth") from None
        prompt = request.prompt
        within_s = self.call_s if request.timeout is None else min(self.call_s, request.timeout)
        litellm = _loaded()
        try:
            response = litellm.completion(
                model=self.name,
                messages=[{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt,
                **{"timeout": within_s, **options_of(request)},
                **({} if self.base_url is None else {"base_url": self.base_url}),
                **({} if key is None else {"api_key": key}),
                num_retries=0,
                max_retries=0,
            )
        except (TypeError, ValueError):
            raise  # what was asked, not the connection, is at fault
        except Exception as exc:  # its errors are of many classes, and some are not its own
            raise _failure(exc, key) from None
        answer = Reply(200, {}, json.dumps(response.model_dump(mode="json")).encode(), key).answer()
        if answer.cost is None:
            cost = getattr(response, "_hidden_params", {}).get("response_cost")
            answer.cost = float(cost) if isinstance(cost, (int, float)) else None
        return answer


def _failure(exc: Exception, key: str | None) -> ModelError:
    status = getattr(exc, "status_code", None)
    status = status if isinstance(status, int) else None
    text = without_key(str(exc), key)
    kind = _KINDS.get(type(exc).__name__)
    if kind is None:
        kind = "connection" if status is None else kind_of(status, text)
    headers = getattr(getattr(exc, "response", None), "headers", None) or {}
    wait = retry_after_of(headers, status)
    return ModelError(text, kind=kind, status=status, retry_after=wait)


def _loaded() -> Any:
    with _loading:
        return _load()


@functools.cache
def _load() -> Any:
    # Else it fetches a list of prices from another host when it is loaded.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True  # it prints hints of its own at every error
    return litellm
