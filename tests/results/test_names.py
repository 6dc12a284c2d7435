"""Short names: what is shared goes, what tells apart stays, and no two become one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelab.results.names import LONGEST, shortened

SHARED = "data=jsonl,data-path=prompts.jsonl,policy=local,policy-path=qwen,reward=function"


def test_names_that_fit_stay() -> None:
    assert shortened(["ppo", "safe,lr=1", "safe,lr=1"]) == {"ppo": "ppo", "safe,lr=1": "safe,lr=1"}
    assert shortened([]) == {}


def test_overrides_that_all_share_are_left_out() -> None:
    names = [f"safe,controller-gate=none,{SHARED}", f"ppo_matched,{SHARED}"]
    assert list(shortened(names).values()) == ["safe,controller-gate=none", "ppo_matched"]
    assert list(shortened([*names, "bug"]).values()) == ["safe,controller-gate=none", "ppo_matched", "bug"]


def test_a_shared_beginning_and_end_are_left_out_at_a_boundary() -> None:
    names = [f"qwen2_5_3b_on_helpful_prompts_with_{x}_of_the_third_try" for x in ("safe", "sage")]
    assert list(shortened(names).values()) == ["…safe…", "…sage…"]


def test_what_is_too_long_even_so_loses_its_middle() -> None:
    assert shortened(["x" * 100, "y"], 9) == {"x" * 100: "xxxx…xxxx", "y": "y"}
    (one,) = shortened(["begin" + "m" * 90 + "the_end"]).values()
    assert (len(one), one[:5], one[-7:]) == (LONGEST, "begin", "the_end")


def test_two_that_would_be_one_are_numbered() -> None:
    names = ["a" * 50 + x + "b" * 50 for x in "xyz"]
    assert list(shortened([*names, "c"], 9).values()) == ["aaa…bbb#1", "aaa…bbb#2", "aaa…bbb#3", "c"]


@pytest.mark.parametrize("length", [10, 18, 32])
@given(names=st.lists(st.text("ab,=_", min_size=1, max_size=60), max_size=8, unique=True))
def test_short_and_different_whatever_they_are(length: int, names: list[str]) -> None:
    found = shortened(names, length)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(len(short) <= length for short in found.values())
