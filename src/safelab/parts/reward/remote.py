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

from safelab.contracts import Context, Part, Reward
from safelab.errors import RunFailed

PASSING = {429, 500, 502, 503, 504}
TOKEN = "SAFELAB_REWARD_TOKEN"
"""Environment variable: sent as a bearer token, where it is set."""

SHOWN = 200
"""Characters of an answer that a message quotes."""


class Remote(Part, Reward):
    """``url``: where to post. ``batch_size``: responses per request. ``timeout_s``: of one request.

    ``retries``: further tries of a request that may pass; ``pause_s``: before the first of them.
    """

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

    def build(self, context: Context) -> Reward:
        """Itself, once the server has answered one empty request.

        Raises:
            RunFailed: it does not, so that nothing is trained first.
        """
        self.score([], [], [])
        return self

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """The server's rewards, in order.

        Raises:
            RunFailed: it cannot be reached, or answers with something else than one number per response.
        """
        size = self.batch_size
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
                f'the server of reward.url={self.url} must answer {{"rewards": [numbers]}}, got {shown!r}'
            ) from error
        if len(rewards) != len(responses):
            raise RunFailed(
                f"the server of reward.url={self.url} must give one reward per response, "
                f"got {len(rewards)} for {len(responses)}"
            )
        return rewards

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if token := os.environ.get(TOKEN):
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url, data=body, headers=headers)
        for attempt in range(self.retries + 1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                    content: bytes = response.read()
                    return content
            except urllib.error.HTTPError as error:
                reason = f"status {error.code}"
                if error.code not in PASSING:
                    raise RunFailed(f"the server of reward.url={self.url} refused: {reason}") from error
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
            if attempt < self.retries:
                time.sleep(self.pause_s * 2**attempt)
        raise RunFailed(
            f"the server of reward.url={self.url} did not answer in {self.retries + 1} tries of at most "
            f"{self.timeout_s:g} s ({reason}); start it, or raise reward.timeout_s or reward.retries"
        )
