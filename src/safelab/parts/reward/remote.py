"""A reward model behind HTTP: for one that needs a machine, a language or a licence of its own.

    POST url   {"prompts": [...], "responses": [...], "ended": [...]}   ->   {"rewards": [...]}

With ``columns`` of the data there is ``"columns": {name: [...]}`` besides.
What may pass (no connection, a time-out, 429 and 5xx) is tried again after a pause that doubles; what cannot (another
status, an answer of another form) stops the run at once.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from safelab.contracts import Context, Part, Reading, Reward
from safelab.errors import RunFailed
from safelab.parts.reward._client import Client, address_fault, authorization

SHOWN = 200
"""Characters of an answer that a message quotes."""


class Remote(Part, Reward):
    """``url``: where to post. ``batch_size``: responses per request. ``timeout_s``: of one request.

    ``retries``: further tries of a request that may pass; ``pause_s``: before the first of them. ``columns``: of the
    data, sent along; null for none.
    """

    url: str
    batch_size: Annotated[int, Field(ge=1)]
    timeout_s: Annotated[float, Field(gt=0)]
    retries: Annotated[int, Field(ge=0)]
    pause_s: Annotated[float, Field(ge=0)]
    columns: list[str] | None

    @model_validator(mode="before")
    @classmethod
    def _without_columns(cls, given: Any) -> Any:
        return {"columns": None, **given}  # a run of a version before columns has none

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if fault := address_fault(url):
            raise ValueError(fault)
        return url

    def build(self, context: Context) -> Reward:
        """Itself, once the server has answered one empty request.

        Raises:
            ConfigError: the token in the environment is none.
            RunFailed: it does not, so that nothing is trained first.
        """
        authorization()
        self.score([], [], [], **{name: [] for name in self.columns or ()})
        return self

    def reading(self) -> Reading:
        """The columns that are sent."""
        return Reading(must=frozenset(self.columns or ()))

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], **columns: Sequence[Any]
    ) -> list[float]:
        """The server's rewards, in order.

        Raises:
            RunFailed: it cannot be reached, or answers with something else than one number per response.
        """
        size = self.batch_size
        rewards: list[float] = []
        for start in range(0, max(1, len(responses)), size):
            part = slice(start, start + size)
            texts = {"prompts": list(prompts[part]), "responses": list(responses[part])}
            more = {"columns": {name: list(values[part]) for name, values in columns.items()}} if columns else {}
            rewards += self._batch({**texts, "ended": list(ended[part]), **more}, len(texts["responses"]))
        return rewards

    def _batch(self, asked: Mapping[str, Any], count: int) -> list[float]:
        server = f"the server of reward.url={self.url}"
        client = Client(url=self.url, name=server, timeout_s=self.timeout_s, retries=self.retries, pause_s=self.pause_s)
        answer = client.post(json.dumps(asked).encode())
        rewards = rewards_in(answer)
        if rewards is None:
            shown = answer[:SHOWN].decode("utf-8", errors="replace")
            raise RunFailed(f'{server} must answer {{"rewards": [finite numbers]}}, got {shown!r}')
        if len(rewards) != count:
            raise RunFailed(f"{server} must give one reward per response, got {len(rewards)} for {count}")
        return rewards


def rewards_in(answer: bytes) -> list[float] | None:
    """The numbers of ``{"rewards": [...]}``; None where the answer is anything else, or a number is not finite."""
    try:
        content: Any = json.loads(answer)
        values = content["rewards"] if isinstance(content, dict) else None
        if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
            return None
        rewards = [float(value) for value in values]
    except (ValueError, KeyError, OverflowError, RecursionError):  # no JSON, no such key, too large, too deep
        return None
    return rewards if all(map(math.isfinite, rewards)) else None
