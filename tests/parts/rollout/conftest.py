"""vLLM's stand-in, for every test of the sampler that uses it."""

import pytest

from support import vllm_stand_in
from support.vllm_stand_in import LLM


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[LLM]:
    """It is in vLLM's place; the engines that are made."""
    return vllm_stand_in.install(monkeypatch)
