"""The sentences of the verdict, on numbers by hand."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from safelab.results.estimates import Estimate, Proportion
from safelab.results.model import ArmRow, BudgetRow, Comparison, Levels
from safelab.results.runs.measures import MEASURES
from safelab.results.words.verdict import verdict


def about(mean: float | None, half: float | None = None, n: int = 8) -> Estimate:
    """A mean with an interval of ``half`` to either side."""
    if mean is None or half is None:
        return Estimate(n=n, mean=mean)
    return Estimate(n=n, mean=mean, low=mean - half, high=mean + half)


def arm(
    name: str,
    reward: float = 0.5,
    counted: int = 8,
    crashes: Mapping[str, int] | None = None,
    cut_short: int = 0,
    **more,
) -> ArmRow:
    """An arm of ``counted`` runs; ``more``: other measures by key."""
    means = {"reward_mean": reward, **more}
    return ArmRow(
        name=name, whole=name, started=counted, finished=counted, diverged=Proportion(k=0, n=counted, low=0, high=1),
        unfinished=0, ended={}, counted=counted, cut_short=cut_short, seeds=list(range(counted)),
        estimates={m.key: about(means.get(m.key), 0.01) for m in MEASURES},
        crashed={f"crash/{kind}": Proportion(k=k, n=counted, low=0, high=1) for kind, k in (crashes or {}).items()},
    )  # fmt: skip


def against(
    name: str, mean: float | None, half: float | None, n: int = 8, p: float = 0.5, p_holm_floor: float = 0.0
) -> Comparison:
    """``name`` minus the baseline in reward over ``n`` pairs; ``p`` is the same before and after correction."""
    return Comparison(
        arm=name, measure="reward_mean", seeds=list(range(n)), difference=about(mean, half, n), p=p, p_floor=0.0,
        p_holm=p, p_holm_floor=p_holm_floor, improvement=None, improvement_low=None, improvement_high=None,
    )  # fmt: skip


def said(rows: list[Comparison], arms: list[ArmRow] | None = None, **more) -> list[str]:
    arms = arms or [arm("ppo"), *(arm(row.arm, 0.5 + (row.difference.mean or 0.0)) for row in rows)]
    return verdict(arms, rows, "ppo", MEASURES, **more)


LEVEL = "ppo (0.500 [0.490, 0.510], 8 runs)"


def test_a_difference_that_both_interval_and_test_bear_out() -> None:
    assert said([against("safe", 0.2, 0.05, p=0.0078)]) == [
        f"In training-average reward, safe lies above {LEVEL}.",
        "safe: 0.700, +0.200 [+0.150, +0.250] against ppo; "
        "a clear difference (sign-flip p = 0.008, corrected p = 0.008, 8 pairs).",
    ]


def test_an_interval_without_zero_that_the_test_does_not_confirm() -> None:
    headline, one = said([against("safe", -0.1, 0.05, p=0.07)])
    assert headline == (
        f"In training-average reward, safe lies below {LEVEL}. "
        "The test corrected over all arms confirms none of these differences."
    )
    assert "the interval leaves out zero, the corrected test does not confirm it (sign-flip p = 0.07" in one


def test_no_difference() -> None:
    headline, one = said([against("safe", 0.02, 0.05, p=0.4)])
    assert headline == f"In training-average reward, safe cannot be told apart from {LEVEL}."
    assert one.endswith("+0.020 [−0.030, +0.070] against ppo; not told apart (sign-flip p = 0.4, corrected p = 0.4, "
                        "8 pairs).")  # fmt: skip


def test_a_test_without_an_interval_beside_zero_is_no_clear_difference() -> None:
    assert "not told apart" in said([against("safe", 0.02, 0.05, p=0.001)])[1]


@pytest.mark.parametrize(("half", "reading"), [(0.05, "indicative, the interval leaves out zero"),
                                              (0.3, "not told apart")])  # fmt: skip
def test_too_few_seeds_only_indicate(half: float, reading: str) -> None:
    headline, one = said([against("safe", 0.2, half, n=4, p=0.001)])
    assert one.endswith(f"against ppo on the 4 seeds that both have; {reading}.")
    assert "confirm" not in headline, "so few pairs cannot be confirmed, and none is said to be unconfirmed"


def test_one_seed_has_no_interval() -> None:
    headline, one = said([against("safe", 0.2, None, n=1)])
    assert headline == (
        f"In training-average reward, safe has a single seed in common with {LEVEL}, which tells nothing of others."
    )
    assert one == "safe: 0.700, +0.200 against ppo on the one seed that both have; no interval."


def test_one_headline_for_all_arms_and_the_largest_difference_first() -> None:
    rows = [
        against("small", 0.05, 0.01, p=0.01), against("big", 0.3, 0.05, p=0.2), against("worse", -0.1, 0.02, p=0.01),
        against("alike", 0.01, 0.2, p=0.9),
    ]  # fmt: skip
    headline, *each = said(rows)
    assert headline == (
        f"In training-average reward, big and small lie above and worse lies below {LEVEL}; "
        "alike cannot be told apart from it. The test corrected over all arms confirms worse and small."
    )
    assert [line.split(":")[0] for line in each] == ["big", "worse", "small", "alike"]


def test_many_arms_are_named_up_to_six() -> None:
    lines = said([against(f"arm{number}", 0.1 * number, 0.01, p=0.01) for number in range(1, 9)])
    assert [line.split(":")[0] for line in lines[1:7]] == [f"arm{number}" for number in range(8, 2, -1)]
    assert lines[7] == "2 further arms differ by no more; they are in the table."


def test_an_arm_alone_and_none_at_all() -> None:
    assert said([]) == [f"In training-average reward, {LEVEL} stands alone: there is no other arm to compare it with."]
    assert said([], [arm("ppo", counted=0), arm("safe", counted=0)]) == [
        "No run has finished, so there are no numbers to compare; --include-unfinished shows what there is."
    ]
    assert "1 run)" in said([], [arm("ppo", counted=1)])[0]


def sentence(arms: list[ArmRow], beginning: str) -> str:
    (found,) = [line for line in said([], arms) if line.startswith(beginning)]
    return found


def test_reward_crashes_are_named_the_most_first() -> None:
    arms = [arm(name, crashes={"reward": k}) for name, k in (("ppo", 1), ("safe", 0), ("other", 3))]
    assert (
        sentence(arms, "Reward crashed")
        == "Reward crashed for other in 3 of 8 runs and ppo in 1 of 8 runs; not for safe."
    )
    assert sentence([*arms[1:2], replace(arms[1], name="ppo")], "No run") == "No run had a reward crash."
    assert not any("crash" in line for line in said([], [arm("ppo")])), "nothing was looked for"


def gold(means: Mapping[str, float | None], seeds: int = 8, without: Sequence[str] = ()) -> Levels:
    return Levels(
        measure="gold_final", seeds=list(range(seeds)), arms=list(means), means=list(means.values()), without=without
    )


def gold_said(levels: Levels, arms: list[ArmRow] | None = None) -> list[str]:
    return [line for line in said([], arms or [arm("ppo")], gold=levels) if "gold" in line]


def test_the_gold_score_and_who_parted_from_it() -> None:
    arms = [arm("ppo", gold_final=1.0, crashes={"hacking": 2}), arm("safe", gold_final=3.0, crashes={"hacking": 0})]
    assert gold_said(gold({"safe": 3.0, "ppo": 1.0}), arms) == [
        "By the gold score, safe ends highest (3.00) and ppo lowest (1.00), over the 8 seeds that all of them have.",
        "The reward stayed up while the gold score fell (reward hacking) for ppo in 2 of 8 runs: "
        "there a high reward is no sign of quality.",
    ]


@pytest.mark.parametrize(
    ("levels", "end"),
    [
        (gold({"a": 3.0, "b": 3.0}), "all of a and b end alike (3.00), over the 8 seeds that all of them have."),
        (gold({"a": 3.0, "b": 3.0, "c": 1.0}, 1), "a and b end highest (3.00) and c lowest (1.00), "
         "on the one seed that all of them have."),
        (gold({"a": None, "b": None}, 0), "the arms cannot be ranked: they have no seed in common."),
        (gold({"a": 3.0, "b": 1.0}, without=["c"]), "over the 8 seeds that all of them have; c has none."),
    ],
)  # fmt: skip
def test_arms_are_ranked_by_gold_over_the_same_seeds_only(levels: Levels, end: str) -> None:
    (found,) = gold_said(levels)
    assert found.endswith(end)


def test_arms_that_cannot_be_compared_are_named_with_the_reason() -> None:
    arms = [arm("ppo"), arm("safe", 0.7), replace(arm("far"), seeds=[90, 91]), arm("gone", counted=0)]
    rows = [against("safe", 0.2, 0.05, p=0.01), against("far", None, None, n=0), against("gone", None, None, n=0)]
    arms[3] = replace(arms[3], estimates={m.key: about(None, n=0) for m in MEASURES})
    assert said(rows, arms)[0] == (
        f"In training-average reward, safe lies above {LEVEL}; far shares no seed with it; gone has no run that counts."
    )
    assert said(rows[1:2], arms[:1] + arms[2:3])[0] == (
        f"In training-average reward, nothing can be compared with {LEVEL}: far shares no seed with it."
    )


def test_a_test_that_could_not_confirm_is_not_said_to_have_tried() -> None:
    headline, one = said([against("safe", 0.1, 0.05, n=5, p=0.0625, p_holm_floor=0.0625)])
    assert headline.endswith("could confirm none of these differences: there are too few pairs for that.")
    assert "the corrected test could not confirm it with so few pairs: its least is p = 0.062" in one


def test_a_difference_that_rounds_to_zero_has_the_digits_that_show_it() -> None:
    _, one = said([against("safe", 0.00002, 0.00001, p=0.01)])
    assert "+0.000020 [+0.000010, +0.000030] against ppo; a clear difference" in one


def test_runs_that_ended_early_are_told_beside_their_numbers() -> None:
    arms = [arm("ppo", cut_short=1), arm("safe", 0.7, cut_short=2)]
    headline, one = said([against("safe", 0.2, 0.05, p=0.01)], arms)
    assert "ppo (0.500 [0.490, 0.510], 8 runs, 1 of which ended early)" in headline
    assert one.startswith("safe: 0.700 (2 of its 8 runs ended early), +0.200")


def test_one_arm_more_than_is_named_is_one() -> None:
    lines = said([against(f"arm{number}", 0.1 * number, 0.01, p=0.01) for number in range(1, 8)])
    assert lines[7] == "1 further arm differs by no more; it is in the table."


def test_steadiness_in_times_of_the_baselines() -> None:
    arms = [arm("ppo", reward_sd_rolling=0.02), arm("wild", reward_sd_rolling=0.05),
            arm("calm", reward_sd_rolling=0.01), arm("alike", reward_sd_rolling=0.021)]  # fmt: skip
    assert sentence(arms, "From update to update") == (
        "From update to update, reward varies around its rolling mean by 0.0200 in ppo; "
        "calm 0.0100 (2.0 times less), wild 0.0500 (2.5 times that) and alike within 10 % of that."
    )
    alike = [arms[0], arms[3], replace(arms[3], name="too")]
    assert sentence(alike, "From update to update").endswith("in ppo; both others within 10 % of that.")


def test_steadiness_of_many_arms_loses_neither_the_largest_nor_the_count() -> None:
    arms = [arm("ppo", reward_sd_rolling=0.02)]
    arms += [arm(f"a{number}", reward_sd_rolling=0.02 * (1.2 + 0.1 * number)) for number in range(8)]
    line = sentence([*arms, arm("wild", reward_sd_rolling=2.0)], "From update to update")
    assert "wild 2.0000 (100.0 times that)" in line
    assert line.endswith("3 further arms more than 10 % off it.")


def test_steadiness_without_a_ratio() -> None:
    arms = [arm("ppo", reward_sd_rolling=0.0), arm("wild", reward_sd_rolling=0.05), arm("too", reward_sd_rolling=0.0)]
    assert sentence(arms, "From update to update") == (
        "From update to update, reward varies around its rolling mean by 0.0000 in ppo; "
        "wild 0.0500 and too within 10 % of that."
    )
    rounded = [replace(one, estimates={**one.estimates, "reward_mean": arms[0].estimates["reward_mean"]})
               for one in (arm("ppo", reward_sd_rolling=6e-17), arm("too", reward_sd_rolling=3e-16))]  # fmt: skip
    assert sentence(rounded, "From update to update").endswith("0.0000 in ppo; too within 10 % of that.")
    lost = [arm("ppo", reward_sd_rolling=0.02), arm("a", reward_sd_rolling=math.inf), arm("b")]
    assert not any("From update" in line for line in said([], lost))


def budget(name: str, kl: float, reward: Estimate, gold: Estimate) -> BudgetRow:
    return BudgetRow(
        arm=name, kl=kl, reward=about(0.5, 0.1), gold=about(1.0, 0.1), reward_difference=reward, gold_difference=gold
    )


def test_equal_kl_speaks_of_the_middle_budget() -> None:
    nothing = about(None, n=0)
    rows = [
        budget("ppo", 0.2, nothing, nothing), budget("safe", 0.1, about(-1.0, 0.1), nothing),
        budget("safe", 0.2, about(0.3, 0.1), about(0.0, 0.1)), budget("safe", 0.4, about(-1.0, 0.1), nothing),
    ]  # fmt: skip
    assert said([against("safe", 0.2, 0.05, p=0.01)], equal_kl=rows)[-1] == (
        "At equal KL, with each run stopped where its reward is best within 0.20 nats per token: in reward, "
        "safe (+0.30) lies above ppo; in gold score, no arm can be told apart from ppo (95 % intervals, not corrected)."
    )
