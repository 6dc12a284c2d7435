"""Prompts that cannot be read: refused with their number, or left out and counted."""

import pytest

from safelab.contracts import Reward
from safelab.corpus.fitting import readable, reader
from safelab.errors import DataError
from safelab.plugins import build_option
from support.models import context, tiny_policy


def short(text: str) -> None:
    if len(text) > 1:
        raise DataError(f"{text} is long")


def test_they_are_refused_or_left_out_and_counted() -> None:
    said: list[str] = []
    texts = ["a", "bb", "c", "dd"]
    assert readable(["a", "c"], short, "data", False, said.append) == ["a", "c"]
    assert said == []
    with pytest.raises(
        DataError, match=r"and 2 of 4 prompts cannot be read: bb is long; data\.skip_unfit=true leaves out"
    ):
        readable(texts, short, "data", False, said.append)
    assert readable(texts, short, "data", True, said.append) == ["a", "c"]
    assert said == ["data: 2 of 4 prompts cannot be read and are left out; the first: bb is long"]
    with pytest.raises(DataError, match=r"2 of 2 prompts cannot be read: bb is long$"):
        readable(["bb", "dd"], short, "data", True, said.append)


class Choosy(Reward):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def score(self, prompts, responses, ended):
        raise AssertionError

    def check_prompt(self, prompt: str) -> None:
        self.asked.append(prompt)
        short(prompt)


def test_policy_and_reward_read_each_prompt_once(tmp_path) -> None:
    from dataclasses import replace

    reward = Choosy()
    around = replace(context(tiny_policy()), reward=reward)
    read = reader(around)
    read("a")
    read("a")
    assert reward.asked == ["a"]
    with pytest.raises(DataError, match="must have at least one token of the policy's tokenizer"):
        read(" ")
    path = tmp_path / "p.txt"
    path.write_text("a\nb c\n")
    options = {"name": "text", "path": str(path), "skip_unfit": True, "seed": 0}
    assert build_option("data", options, around).prompts(0, 2) == ["a", "a"]
    with pytest.raises(DataError, match="1 of 2 prompts cannot be read: b c is long"):
        build_option("data", {**options, "skip_unfit": False}, around)
