"""Parts that do not fit are refused before anything is built, each by one line that says the remedy."""

from pathlib import Path
from typing import get_args

import pytest

from safelab.app.config.build import problems
from safelab.contracts import Need
from safelab.errors import ConfigError
from safelab.training.fit import PROVIDED, check_length
from support.runs import small


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["algorithm=grpo", "critic=single"], "critic must be none"),
        (["algorithm=ppo", "critic=none"], "critic must give a value per token, got none"),
        (["algorithm=safe", "critic.read_at=per_token"], "critic.read_at must be prompt_end or response_end"),
        (["algorithm=ppo", "critic.read_at=prompt_end"], "critic.read_at must be per_token"),
        (["algorithm=grpo", "rollout.samples_per_prompt=1"], "rollout.samples_per_prompt must be at least 2, got 1"),
        (
            ["algorithm=remax", "shaping=running"],
            "greedy response's reward is not shaped with advantage=greedy_baseline",
        ),
        (["algorithm=dvpo", "shaping=running"], "changes rewards: nothing reads them with advantage=static_value"),
        (["algorithm=bapo", "optimizer.micro_batch_size=2"], "optimizer.micro_batch_size must be null"),
        (["algorithm=bapo", "optimizer.minibatches=2", "optimizer.micro_batch_size=3"], "the minibatch's 4 responses"),
        (["algorithm=frpo", "optimizer.minibatches=2"], "optimizer.minibatches must be 1, got 2"),
        (["algorithm=frpo", "aggregation=token_mean"], "aggregation must be sequence_mean, got 'token_mean'"),
        (["algorithm=dar", "advantage=greedy_baseline"], "advantage must give one number per response"),
        (["algorithm=reinforce_pp", "objective=weighted_sft"], "got 'global_whiten': choose group_norm"),
        (["algorithm=reinforce_pp", "advantage.baseline=group_mean"], "must be at least 2, got 1"),
        (["algorithm=r2vpo", "optimizer.epochs=1"], "optimizer.epochs must be at least 2, got 1 with one minibatch"),
        (["algorithm=r2vpo", "optimizer.epochs=1", "rollout.staleness=1", "objective.anchor=old"], "every ratio is 1"),
        (["algorithm=grpo", "rollout.batch_size=10"], "a multiple of samples_per_prompt, got 10 and 4"),
    ],
)
def test_what_an_option_needs_and_does_not_get_is_refused(overrides: list[str], said: str, tmp_path: Path) -> None:
    lines = problems(small(tmp_path, *overrides))
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(
    "overrides",
    [
        ["algorithm=bapo", "optimizer.minibatches=2", "optimizer.micro_batch_size=4"],
        ["algorithm=dar", "rollout.samples_per_prompt=1"],
        ["algorithm=reinforce_pp", "optimizer.micro_batch_size=2"],
        ["algorithm=r2vpo", "optimizer.epochs=1", "optimizer.minibatches=2"],
        ["algorithm=r2vpo", "optimizer.epochs=1", "rollout.staleness=1"],
    ],
)
def test_what_fits_is_let_through(overrides: list[str], tmp_path: Path) -> None:
    assert problems(small(tmp_path, *overrides)) == []


def test_every_need_has_its_check() -> None:
    assert set(PROVIDED) == set(get_args(Need))


def test_prompt_and_response_must_fit_into_the_policys_positions(tmp_path: Path) -> None:
    config = small(tmp_path, "policy.max_prompt_tokens=16", "rollout.max_new_tokens=8")
    check_length(config, 24)
    check_length(config, None)
    with pytest.raises(ConfigError, match=r"at most the policy's 20 positions, got 16 \+ 8; use .*=12"):
        check_length(config, 20)
    with pytest.raises(ConfigError, match=r"got 16 \+ 8; use a smaller rollout\.max_new_tokens"):
        check_length(config, 8)
    with pytest.raises(ConfigError, match=r"\+ pairs\.max_response_tokens must be"):
        check_length({**config, "pairs": {"max_response_tokens": 30}}, 40)
