"""One question to a server: a limit of time and one of size, no redirect, no compression, a pause before each retry."""

import asyncio
import os
import re
import ssl
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from safelab.errors import ConfigError, RunFailed

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response

PASSING = {408, 425, 429, 500, 502, 503, 504}
TOKEN = "SAFELAB_REWARD_TOKEN"
"""Environment variable: sent as a bearer token, where it is set."""

LARGEST = 16 * 2**20
"""Bytes of an answer. A reward is some 20 of them; the rest is for what a server tells besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """``url``: where to post. ``name``: the server's in messages. ``timeout_s``: of one whole try."""

    url: str
    name: str
    timeout_s: float
    retries: int
    pause_s: float

    def post(self, body: bytes) -> bytes:
        """The body of the answer.

        Raises:
            RunFailed: no answer in all tries, or one that another try would not change.
        """
        return asyncio.run(self._post(body))

    async def _post(self, body: bytes) -> bytes:
        import httpx2

        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **authorization()}
        reason = ""
        try:
            client = httpx2.AsyncClient(timeout=None, verify=_certificates())
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            raise RunFailed(
                f"{self.name} cannot be asked through the proxy that the environment names ({type(error).__name__}); "
                "mend HTTP_PROXY and its kin, or name the server in NO_PROXY"
            ) from error
        async with client:
            for attempt in range(self.retries + 1):
                try:
                    async with asyncio.timeout(self.timeout_s):
                        return await self._once(client, body, headers)
                except _MayPass as error:
                    reason = str(error)
                except TimeoutError:
                    reason = "timed out"
                except httpx2.TransportError as error:
                    reason = str(error) or type(error).__name__
                if attempt < self.retries:
                    await asyncio.sleep(self.pause_s * 2**attempt)
        raise RunFailed(
            f"{self.name} did not answer in {self.retries + 1} tries of at most {self.timeout_s:g} s ({reason}); "
            "start it, or raise reward.timeout_s or reward.retries"
        )

    async def _once(self, client: "AsyncClient", body: bytes, headers: dict[str, str]) -> bytes:
        async with client.stream("POST", self.url, content=body, headers=headers) as response:
            self._check(response)
            content = bytearray()
            async for piece in response.aiter_raw():
                content += piece
                if len(content) > LARGEST:
                    raise RunFailed(f"{self.name} must answer with at most {LARGEST:,} bytes, and gave more")
            return bytes(content)

    def _check(self, response: "Response") -> None:
        status = response.status_code
        if status in PASSING:
            raise _MayPass(f"status {status}")
        if 300 <= status < 400:
            raise RunFailed(
                f"{self.name} must answer itself, got a redirect (status {status}), which is not followed: it "
                "would take texts and token elsewhere; name the last address"
            )
        if status != 200:
            raise RunFailed(f"{self.name} refused: status {status}")
        if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise RunFailed(f"{self.name} must answer as it was asked to, without compression, got {coding[:20]!r}")


@cache
def _certificates() -> ssl.SSLContext:
    """Those of the system, read once."""
    return ssl.create_default_context()


class _MayPass(Exception):
    """An answer that another try may change."""


def authorization() -> dict[str, str]:
    """The header with the token, if there is one.

    Raises:
        ConfigError: it is none that a header can hold; it is not repeated.
    """
    token = os.environ.get(TOKEN)
    if not token:
        return {}
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(f"${TOKEN} must be printable ASCII without spaces or line breaks, and is not; set it anew")
    return {"Authorization": f"Bearer {token}"}


def address_fault(url: str) -> str | None:
    """Why ``url`` cannot be a server's in a configuration, which is written down; a secret in it is not repeated."""
    import httpx2

    try:
        parsed = httpx2.URL(url)
        keys = [*parsed.params.keys(), *httpx2.QueryParams(parsed.fragment).keys()]
    except (httpx2.InvalidURL, ValueError):
        return "must be the address of a server, as http://host:port/path, and cannot be read"
    if parsed.userinfo or "@" in parsed.netloc.decode("ascii", "replace"):
        return f"must hold no password; put a token into ${TOKEN}, which is sent and never written"
    if secret := next(filter(SECRET.search, keys), None):
        return f"must hold no secret, got the parameter {secret!r}; put a token into ${TOKEN}, which is never written"
    if parsed.scheme not in ("http", "https") or not parsed.host:
        return f"must begin with http:// or https:// and a host, got {url!r}"
    return None


SECRET = re.compile("(key|token|secret|passw(or)?d|pwd|auth|authorization|credentials?|signature|sig|jwt|sas)$", re.I)
"""How the name of a URL's parameter ends whose value is one."""
