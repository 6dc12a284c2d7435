"""Parts that do not fit are refused before anything is built, each by one line that says the remedy."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from safelab.app.config.build import problems
from safelab.contracts import Context, Critic, Need, Part
from safelab.errors import ConfigError
from safelab.training.fit import check_length
from safelab.training.loop import train_update
from safelab.training.needs import PROVIDED
from safelab.training.state import initial_state
from support.runs import parts_of, resolved, small


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["rollout=vllm", "rollout.devices=[0]"], "rollout.devices must not hold the trainer's own GPU, got [0] with"),
        (
            ["rollout=vllm", "rollout.devices=[1]", "device=cpu"],
            "rollout.devices must be null with device=cpu, got [1]",
        ),
        (["rollout=vllm", "rollout.devices=[1,2]", "ranks=2"], "rollout.devices must not hold the trainer's own GPU"),
        (["rollout=vllm", "rollout.devices=[2]", "ranks=2"], "must be as many GPUs for each of ranks=2, got [2]"),
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
        (
            ["algorithm=online_dpo", "optimizer.minibatches=2"],
            "optimizer.minibatches must be 1, got 2: responses to one",
        ),
        (["algorithm=best_of_n", "optimizer.micro_batch_size=1"], "at least rollout.samples_per_prompt, 2, got 1"),
        (["algorithm=best_of_n", "aggregation=token_mean"], "aggregation must be sequence_mean, got 'token_mean'"),
        (["algorithm=best_of_n", "objective.anchor=old"], "must have anchor=rollout, got old: no ratio is taken"),
        (["algorithm=frpo", "aggregation=token_mean"], "aggregation must be sequence_mean, got 'token_mean'"),
        (["algorithm=dar", "advantage=greedy_baseline"], "advantage must give one number per response"),
        (["algorithm=reinforce_pp", "objective=weighted_sft"], "got 'global_whiten': choose group_norm"),
        (["algorithm=reinforce_pp", "advantage.baseline=group_mean"], "must be at least 2, got 1"),
        (
            ["algorithm=best_of_n", "rollout.samples_per_prompt=1"],
            "responses to one prompt are compared with advantage=group_norm and objective=best_of_n",
        ),
        (
            ["algorithm=dppo_topk", "rollout.staleness=4"],
            "objective.anchor must be old with rollout.staleness=4, got rollout: of the sampler's distributions only",
        ),
        (["algorithm=dppo_topk", "rollout=vllm"], "objective.anchor must be old with rollout=vllm, got rollout"),
        (["algorithm=reinforce_pp", "objective=vespo"], "got 'global_whiten': choose group_norm"),
        (
            ["algorithm=lco", "objective=logits_convex_dense", "objective.path=org/verifier", "controller=reward_kl"],
            "controller/route must lead into the loss, got 'reward': nothing reads the rewards with objective=logits",
        ),
        (
            ["algorithm=lco", "objective=logits_convex_dense", "objective.path=org/verifier", "shaping=running"],
            "shaping must be none, got one that changes rewards: nothing reads them with objective=logits_convex_dense",
        ),
        (["algorithm=grpo", "correction=truncate"], "correction must be none with objective.anchor=rollout, whose"),
        (["algorithm=grpo", "correction=geometric"], "add objective.anchor=old, or the sampler's probabilities would"),
        (
            ["algorithm=reinforce_pp", "correction=sequence_mask"],
            "got 'global_whiten': choose group_norm, leave_one_out or the like with correction=sequence_mask",
        ),
        (["algorithm=ppo", "correction=sequence_mask"], "advantage must give one number per response, got 'gae'"),
        (
            ["algorithm=dar", "correction=sequence_mask"],
            "must make bad responses less likely, each by a loss of its own",
        ),
        (
            ["algorithm=frpo", "correction=sequence_mask"],
            "got 'robust_group': none could be left out by itself with",
        ),
        (["algorithm=best_of_n", "correction=sequence_mask"], "got 'best_of_n': none could be left out by itself"),
        (["algorithm=online_dpo", "correction=sequence_mask"], "got 'online_dpo': none could be left out by itself"),
        (
            ["algorithm=dpo", "correction=sequence_mask"],
            "correction must be none with preference=dpo, which learns from",
        ),
        (["algorithm=dpo", "correction=mask"], "correction must be none with preference=dpo, which learns from no"),
        (
            ["algorithm=gr", "policy.dtype=bfloat16"],
            "policy.dtype must be float32 with optimizer.gradient_penalty.coef=",
        ),
        (["algorithm=dpo", "optimizer.gradient_penalty.coef=1"], "optimizer.gradient_penalty.coef must be 0 with"),
        (
            ["algorithm=ema_pg", "policy/adapter=lora"],
            "policy/adapter must be none with controller/reference=moving, got",
        ),
        (
            ["algorithm=ema_pg", "policy/adapter=adaptive_lora"],
            "policy/adapter must be none with controller/reference=moving, got adaptive_lora",
        ),
        (
            ["algorithm=ema_pg", "policy.dtype=bfloat16"],
            "policy.dtype must be float32 with controller/reference=moving",
        ),
        (
            ["algorithm=ema_pg", "policy=local", "policy.path=x", "policy.compile=true"],
            "policy.compile must be false with",
        ),
        (["algorithm=gr", "controller/reference=moving"], "controller/reference must be frozen without a KL penalty"),
        (["algorithm=dpo", "controller/reference=moving"], "controller must be none with preference=dpo"),
        (["algorithm=r2vpo", "optimizer.epochs=1"], "optimizer.epochs must be at least 2, got 1 with one minibatch"),
        (["algorithm=r2vpo", "optimizer.epochs=1", "rollout.staleness=1", "objective.anchor=old"], "every ratio is 1"),
        (
            ["algorithm=grpo_guard", "optimizer.micro_batch_size=2"],
            "optimizer.micro_batch_size must be null or at least",
        ),
        (
            ["algorithm=grpo_guard", "optimizer.epochs=1"],
            "in the only pass, which leaves nothing to hold, with objective",
        ),
        (["algorithm=otb", "rollout.samples_per_prompt=1"], "are compared with advantage=optimal_token_baseline"),
        (["algorithm=otb", "critic=single"], "critic must be none, got 'single': its values would be trained"),
        (
            ["algorithm=otb", "objective=gspo", "aggregation=sequence_mean"],
            "objective must take a ratio for each token, got",
        ),
        (
            ["algorithm=dapo", "rollout.staleness=1"],
            "rollout.dynamic_sampling must be 0, got 9, with rollout.staleness=1",
        ),
        (["algorithm=ppo", "rollout.dynamic_sampling=1"], "got 1, with rollout.samples_per_prompt=1: one response"),
        (
            ["algorithm=remax", "rollout.samples_per_prompt=2", "rollout.dynamic_sampling=1"],
            "got 1, with advantage=greedy_baseline, which compares with a greedy response",
        ),
        (
            ["algorithm=dpo", "rollout.dynamic_sampling=1"],
            "must be 0 with preference=dpo, which learns from no rollout",
        ),
        (["algorithm=grpo", "rollout.batch_size=10"], "a multiple of samples_per_prompt, got 10 and 4"),
    ],
)
def test_what_an_option_needs_and_does_not_get_is_refused(overrides: list[str], said: str, tmp_path: Path) -> None:
    lines = problems(small(tmp_path, *overrides))
    assert len(lines) == 1
    assert said in lines[0]


def test_one_line_says_what_several_keys_ask_for(tmp_path: Path) -> None:
    alone = ["algorithm=reinforce_pp", "advantage.baseline=group_mean", "objective=best_of_n"]
    lines = problems(small(tmp_path, *alone, "objective.anchor=rollout"))
    (line,) = [line for line in lines if line.startswith("rollout.samples_per_prompt")]
    assert line.endswith("are compared with objective=best_of_n and advantage.baseline=group_mean")


@pytest.mark.parametrize(
    "overrides",
    [
        ["algorithm=bapo", "optimizer.minibatches=2", "optimizer.micro_batch_size=4"],
        ["algorithm=online_dpo", "optimizer.micro_batch_size=3", "ranks=2"],
        ["algorithm=dar", "rollout.samples_per_prompt=1"],
        ["algorithm=grpo", "correction=sequence_mask"],
        ["algorithm=safe", "correction=sequence_mask", "rollout.staleness=2"],
        ["algorithm=bapo", "correction=sequence_mask", "ranks=1"],
        ["algorithm=ppo", "correction=geometric", "objective.anchor=old"],
        ["algorithm=reinforce_pp", "optimizer.micro_batch_size=2"],
        ["algorithm=r2vpo", "optimizer.epochs=1", "optimizer.minibatches=2"],
        ["algorithm=r2vpo", "optimizer.epochs=1", "rollout.staleness=1"],
        ["algorithm=dppo_topk", "rollout.staleness=4", "objective.anchor=old", "correction=mask"],
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


class Own(Part):
    """A user's critic of any grain and shape: ``values`` a response, None for one a token."""

    grain: str | None
    values: int | None

    def build(self, context: Context) -> Critic:
        """Zeros."""
        return Zeros(self.grain, self.values)


class Zeros(Critic):
    """Zeros, one head."""

    target, coef, warmup_updates = None, 0.5, 0

    def __init__(self, grain: str | None, values: int | None) -> None:
        self.module, self.grain, self.values = nn.Linear(1, 1), grain, values

    def heads(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Zeros, with a graph."""
        count = mask.shape[1] if self.values is None else self.values
        return torch.zeros(len(hidden), count, 1) * self.module.weight

    bootstrap = heads

    def combine(self, heads: Tensor) -> Tensor:
        """The head."""
        return heads[..., 0]

    def loss(self, heads: Tensor, heads_old: Tensor, returns: Tensor) -> Tensor:
        """Squared error."""
        return (heads[..., 0] - returns).square()

    def after_step(self) -> None:
        """Nothing."""


def own_critic(tmp_path: Path, algorithm: str, grain: str | None, values: int | None) -> dict:
    made = small(tmp_path, f"algorithm={algorithm}")
    return {**made, "critic": {"name": f"{__name__}:Own", "grain": grain, "values": values}}


@pytest.mark.parametrize(
    ("algorithm", "grain", "said"),
    [
        ("ppo", "sequence", "one value per token with advantage=gae, got Zeros with grain 'sequence': give it"),
        ("ppo", None, "one value per token with advantage=gae, got Zeros with grain None"),
        ("safe", "token", "one value per sequence with advantage=sequence_bandit, got Zeros with grain 'token'"),
    ],
)  # fmt: skip
def test_a_users_own_critic_of_another_grain_is_refused_once_it_is_built(
    algorithm: str, grain: str | None, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"^critic must give {said}"):
        parts_of(own_critic(tmp_path, algorithm, grain, 1))


@pytest.mark.parametrize(("algorithm", "grain", "values"), [("ppo", "token", None), ("safe", "sequence", 1)])
def test_a_users_own_critic_that_fits_trains(algorithm: str, grain: str, values: int | None, tmp_path: Path) -> None:
    parts = parts_of(own_critic(tmp_path, algorithm, grain, values))
    assert train_update(parts, initial_state(parts)).row["update"] == 0


@pytest.mark.parametrize(
    ("algorithm", "grain", "values", "said"),
    [
        ("ppo", "token", 1, r"critic=Zeros must return heads of shape \[8, 6, 1\], got one of \[8, 1, 1\]"),
        ("safe", "sequence", 2, r"critic=Zeros must return heads of shape \[8, 1, 1\], got one of \[8, 2, 1\]"),
    ],
)
def test_a_users_own_critic_of_another_shape_is_refused_before_a_weight_moves(
    algorithm: str, grain: str, values: int, said: str, tmp_path: Path
) -> None:
    parts = parts_of(own_critic(tmp_path, algorithm, grain, values))
    before = [weight.detach().clone() for weight in parts.policy.module.parameters()]
    with pytest.raises(ConfigError, match=said):
        train_update(parts, initial_state(parts))
    assert all(map(torch.equal, before, parts.policy.module.parameters()))


SHARDED = ("policy=local", "policy.path=x", "ranks=3", "policy.sharding=layers")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["ranks=1"], "policy.sharding must be none with ranks=1, where no other process holds a part, got"),
        (["rollout.decoding=compiled"], "rollout.decoding must be dynamic or static with policy.sharding=layers, got"),
        (["policy.compile=true"], "policy.compile must be false with policy.sharding=layers, got true"),
        (["optimizer=adamw_8bit"], "optimizer must be adamw with policy.sharding=layers, got adamw_8bit"),
        (["algorithm=gr"], "optimizer.gradient_penalty.coef must be 0 with policy.sharding=layers, got 0.01"),
        (
            ["algorithm=ema_pg"],
            "policy.sharding must be none with controller/reference=moving, got layers: the copy is",
        ),
        (["optimizer.micro_batch_tokens=99"], "optimizer.micro_batch_tokens must be null with policy.sharding=layers"),
        (
            ["rollout.batch_size=32", "optimizer.micro_batch_size=10"],
            "optimizer.micro_batch_size must cut 10 and 11 responses, the ranks' of 32, into equally many pieces with "
            "policy.sharding=layers, got 10",
        ),
        (
            ["rollout.batch_size=40", "optimizer.minibatches=5", "ranks=5", "optimizer.micro_batch_size=1"],
            "optimizer.micro_batch_size must cut 1 and 2 responses, the ranks' of 8, into",
        ),
        (
            ["algorithm=dpo", "pairs.batch_size=8", "optimizer.micro_batch_size=4", "rollout.batch_size=24"],
            "optimizer.micro_batch_size must cut 2 and 3 pairs, the ranks' of 8, into equally many pieces",
        ),
    ],
)
def test_what_parts_of_layers_cannot_do_is_refused_before_anything_starts(overrides: list[str], said: str) -> None:
    lines = problems(resolved(*SHARDED, *overrides))
    assert len(lines) == 1, lines
    assert lines[0].startswith(said)


@pytest.mark.parametrize(
    "overrides", [[], ["rollout.batch_size=32", "optimizer.micro_batch_size=4"], ["optimizer.micro_batch_size=11"]]
)
def test_rows_that_ranks_share_unevenly_fit_where_their_passes_are_as_many(overrides: list[str]) -> None:
    assert problems(resolved(*SHARDED, "rollout.batch_size=32", *overrides)) == []
