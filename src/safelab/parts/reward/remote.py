"""A reward model behind HTTP: for one that needs a machine, a language or a licence of its own.

    POST url   {"prompts": [...], "responses": [...], "ended": [...]}   ->   {"rewards": [...]}

What may pass (no connection, a time-out, 429 and 5xx) is tried again after a pause that doubles; what cannot (another
status, an answer of another form) stops the run at once.
"""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from safelab.contracts import Context
from safelab.errors import RunFailed
from safelab.options import Options as BaseOptions

PASSING = {429, 500, 502, 503, 504}
TOKEN = "SAFELAB_REWARD_TOKEN"
"""Environment variable: sent as a bearer token, where it is set."""

SHOWN = 200
"""Characters of an answer that a message quotes."""


class Options(BaseOptions):
    """``url``: where to post. ``batch_size``: responses per request. ``timeout_s``: of one request.

    ``retries``: further tries of a request that may pass; ``pause_s``: before the first of them.
    """

    name: str
    url: str
    batch_size: Annotated[int, Field(ge=1)]
    timeout_s: Annotated[float, Field(gt=0)]
    retries: Annotated[int, Field(ge=0)]
    pause_s: Annotated[float, Field(ge=0)]

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"must begin with http:// or https://, got {url!r}")
        if "@" in urlsplit(url).netloc:
            # The configuration is written to files; a password in it would be, too.
            raise ValueError(f"must hold no password; put a token into ${TOKEN}, which is sent and never written")
        return url


def build(options: Options, context: Context) -> "RemoteReward":
    """The client, once the server has answered one empty request.

    Raises:
        RunFailed: it does not, so that nothing is trained first.
    """
    reward = RemoteReward(options)
    reward.score([], [], [])
    return reward


class RemoteReward:
    """``contracts.Reward``."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """The server's rewards, in order.

        Raises:
            RunFailed: it cannot be reached, or answers with something else than one number per response.
        """
        size = self._options.batch_size
        rewards: list[float] = []
        for start in range(0, max(1, len(responses)), size):
            part = slice(start, start + size)
            rewards += self._batch(list(prompts[part]), list(responses[part]), list(ended[part]))
        return rewards

    def _batch(self, prompts: list[str], responses: list[str], ended: list[bool]) -> list[float]:
        answer = self._post(json.dumps({"prompts": prompts, "responses": responses, "ended": ended}).encode())
        try:
            values = json.loads(answer)["rewards"]
            rewards = [float(value) for value in values]
        except (ValueError, KeyError, TypeError) as error:
            shown = answer[:SHOWN].decode("utf-8", errors="replace")
            raise RunFailed(
                f'the server of reward.url={self._options.url} must answer {{"rewards": [numbers]}}, got {shown!r}'
            ) from error
        if len(rewards) != len(responses):
            raise RunFailed(
                f"the server of reward.url={self._options.url} must give one reward per response, "
                f"got {len(rewards)} for {len(responses)}"
            )
        return rewards

    def _post(self, body: bytes) -> bytes:
        options = self._options
        headers = {"Content-Type": "application/json"}
        if token := os.environ.get(TOKEN):
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(options.url, data=body, headers=headers)
        for attempt in range(options.retries + 1):
            try:
                with urllib.request.urlopen(request, timeout=options.timeout_s) as response:
                    content: bytes = response.read()
                    return content
            except urllib.error.HTTPError as error:
                reason = f"status {error.code}"
                if error.code not in PASSING:
                    raise RunFailed(f"the server of reward.url={options.url} refused: {reason}") from error
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
            if attempt < options.retries:
                time.sleep(options.pause_s * 2**attempt)
        raise RunFailed(
            f"the server of reward.url={options.url} did not answer in {options.retries + 1} tries of at most "
            f"{options.timeout_s:g} s ({reason}); start it, or raise reward.timeout_s or reward.retries"
        )
