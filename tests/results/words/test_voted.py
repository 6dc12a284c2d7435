from pathlib import Path

from safelab.results.page.document import Choices, build_report
from safelab.results.runs.load import load

from ..conftest import MakeRun


def test_an_arm_that_is_taught_by_the_gold_score_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    for arm, of in (("gold_voted", "gold"), ("reward_voted", "reward")):
        make_run(arm, config={"optimizer": {"name": "zeroth_order", "oracle": {"of": of}}})
    make_run("ppo", config={"optimizer": {"name": "adamw"}})
    said = "Votes that go by the gold score teach gold_voted: it is no held-out score there."
    assert said in build_report(load([tmp_path]), Choices(baseline="ppo")).caveats


def test_an_arm_whose_reward_is_the_gold_score_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    for arm, evaluator in (("exact", {"name": "right_answer"}), ("reviews", {"name": "gold_reviews", "norm": "kind"})):
        reward = {"name": "right_answer"} if arm == "exact" else {"name": "tiny_rm"}
        make_run(arm, config={"reward": reward, "evaluator": evaluator})
    make_run("none", config={})
    caveats = build_report(load([tmp_path]), Choices(baseline="reviews")).caveats
    assert [line for line in caveats if "very reward" in line] == [
        "The gold score is the very reward of exact: it is no held-out score there."
    ]
