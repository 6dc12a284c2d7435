"""What each preset must be to deserve its name, from the papers as docs/algorithms has them.

The committed configurations of ``tests/configs`` follow every change of ``conf/``: one command rewrites them. This
table does not, so that an objective that is swapped by mistake is a fault here and not only a line in a diff.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FLAT = ROOT / "tests" / "configs"

# KL: the shape of the penalty and the way it takes to the policy. Group: responses to one prompt.
ONLINE = """
preset              | critic          | advantage         | objective        | aggregation   | KL                    | group | epochs
ppo                 | single          | gae               | ppo_clip         | token_mean    | linear reward         | 1     | 4
ppo_adaptive_kl     | single          | gae               | ppo_clip         | token_mean    | linear reward         | 1     | 4
ppo_released        | single          | sequence_bandit   | ppo_clip         | token_mean    | linear loss_k1        | 1     | 2
ppo_matched         | single          | sequence_bandit   | ppo_clip         | token_mean    | linear loss_exact     | 1     | 2
adarl               | single          | sequence_bandit   | ppo_clip         | token_mean    | linear loss_exact     | 1     | 2
safe                | double_soft_min | sequence_bandit   | ppo_clip         | token_mean    | asymmetric loss_exact | 1     | 2
safe_released       | double_soft_min | sequence_bandit   | ppo_clip         | token_mean    | asymmetric constant   | 1     | 2
asymmetric_kl       | double_soft_min | sequence_bandit   | ppo_clip         | token_mean    | asymmetric loss_exact | 1     | 2
asymmetric_released | double_soft_min | sequence_bandit   | ppo_clip         | token_mean    | asymmetric constant   | 1     | 2
dvpo                | none            | static_value      | ppo_clip         | token_mean    | linear reward         | 1     | 2
dar                 | none            | monte_carlo_batch | weighted_sft     | sequence_sum  | none constant         | 4     | 1
grpo                | none            | group_norm        | ppo_clip         | sequence_mean | linear loss_k3        | 4     | 1
dr_grpo             | none            | group_norm        | ppo_clip         | sequence_sum  | none constant         | 4     | 2
rloo                | none            | leave_one_out     | ppo_clip         | sequence_sum  | linear reward         | 4     | 1
reinforce_pp        | none            | global_whiten     | ppo_clip         | token_mean    | linear reward         | 1     | 2
remax               | none            | greedy_baseline   | ppo_clip         | token_mean    | linear reward         | 1     | 1
dapo                | none            | group_norm        | ppo_clip         | token_mean    | none constant         | 4     | 2
gspo                | none            | group_norm        | gspo             | sequence_mean | none constant         | 4     | 2
cispo               | none            | group_norm        | cispo            | token_mean    | none constant         | 4     | 2
dppo                | none            | group_norm        | dppo             | sequence_sum  | none constant         | 4     | 2
minpro              | none            | group_norm        | min_prefix_ratio | token_mean    | none constant         | 4     | 2
bapo                | none            | group_norm        | balanced_clip    | token_mean    | none constant         | 4     | 2
r2vpo               | none            | group_norm        | ratio_variance   | token_mean    | none constant         | 4     | 2
lco                 | none            | group_norm        | logits_convex    | token_mean    | none constant         | 4     | 2
frpo                | none            | group_norm        | robust_group     | sequence_mean | linear loss_k3        | 4     | 2
otb                 | none            | optimal_token_baseline | ppo_clip    | token_mean    | none constant         | 4     | 1
grpo_guard          | none            | group_norm        | grpo_guard       | token_mean    | none constant         | 4     | 2
clip_cov            | none            | group_norm        | clip_cov         | token_mean    | none constant         | 4     | 2
kl_cov              | none            | group_norm        | kl_cov           | token_mean    | none constant         | 4     | 2
sapo                | none            | group_norm        | sapo             | sequence_mean | none constant         | 4     | 2
vespo               | none            | group_norm        | vespo            | token_mean    | none constant         | 4     | 2
luspo               | none            | group_norm        | gspo             | sequence_sum  | none constant         | 4     | 2
drpo                | none            | group_norm        | drpo             | sequence_sum  | none constant         | 4     | 2
dppo_topk           | none            | group_norm        | dppo_topk        | sequence_sum  | none constant         | 4     | 2
gr                  | none            | group_norm        | ppo_clip         | token_mean    | none constant         | 4     | 2
ema_pg              | none            | group_norm        | ppo_clip         | token_mean    | linear loss_topk      | 4     | 2
best_of_n           | none            | group_norm        | best_of_n        | sequence_mean | none constant         | 2     | 1
online_dpo          | none            | group_norm        | online_dpo       | sequence_mean | none constant         | 2     | 1
"""  # noqa: E501

# The loss of each preset that learns from pairs; such a run has nothing of the above but its one epoch.
OFFLINE = {"dpo": "dpo", "cdpo": "dpo", "ipo": "ipo", "chi_po": "chi_po", "var": "var", "trace": "trace"}

# Presets that learn from votes between rollouts; such a run has no loss. What a perturbation moves.
BY_VOTES = {"zpg": "all weights that train", "zbcpg": "a block"}

CLIP = {"objective.clip_range": 0.2, "objective.clip_range_high": None}
SAFE = {"controller.gate.name": "entropy", "controller.threshold.name": "pid", "controller.phase.name": "reward_trend"}
PLAIN = {"controller.gate.name": "none", "controller.threshold.name": "fixed", "controller.phase.name": "none"}
MENDED = {"critic.read_at": "prompt_end", "critic.detach": True, "shaping.normaliser.name": "running"}
AS_RELEASED = {"critic.read_at": "last_position", "critic.detach": False, "controller.kl_signal": "k1"}

# The numbers and switches without which the name would be wrong.
MARKS: dict[str, dict[str, Any]] = {
    "ppo": {**CLIP, "advantage.discount": 1.0, "advantage.trace_decay": 0.95, "controller.coefficient.value": 0.05},
    "ppo_adaptive_kl": {**CLIP, "controller.coefficient.name": "adaptive", "controller.coefficient.target": 6.0},
    "ppo_released": {**CLIP, **AS_RELEASED, "controller.coefficient.value": 0.05, "shaping.normaliser.name": "none"},
    "ppo_matched": {**CLIP, **PLAIN, **MENDED, "controller.coefficient.value": 0.1, "objective.entropy_coef": 0.01},
    "adarl": {**CLIP, **PLAIN, **MENDED, "controller.coefficient.value": 0.1, "policy.adapter.name": "adaptive_lora",
              "policy.adapter.rank": 16, "policy.adapter.mass_share": 0.9, "policy.adapter.every": 10},
    "safe": {**CLIP, **SAFE, **MENDED, "controller.momentum.name": "windowed", "objective.entropy_coef": 0.01},
    "safe_released": {**CLIP, **SAFE, **AS_RELEASED, "controller.momentum.name": "none",
                      "controller.kl_input": "short_average", "controller.step_every": "epoch",
                      "shaping.normaliser.name": "running_released", "objective.entropy_positions": "all"},
    "asymmetric_kl": {**CLIP, **PLAIN, **MENDED, "controller.momentum.lag": 50},
    "asymmetric_released": {**CLIP, **PLAIN, **AS_RELEASED, "controller.momentum.lag": 49},  # one off, as released
    "dvpo": {**CLIP, "advantage.mode": "static_value", "advantage.whiten": True, "controller.coefficient.value": 0.2},
    "dar": {"objective.reference_share": 0.1, "objective.beta": 0.05, "objective.weight_cap": 20.0,
            "aggregation.length": 1},
    "grpo": {**CLIP, "advantage.scale": True, "controller.coefficient.value": 0.04},
    "dr_grpo": {**CLIP, "advantage.scale": False, "aggregation.length": 32},
    "rloo": {"aggregation.length": 1, "controller.coefficient.value": 0.05},
    "reinforce_pp": {**CLIP, "advantage.baseline": "none", "controller.coefficient.value": 0.01},
    "remax": {"advantage.discount": 0.99, "advantage.clip": 5.0, "controller.coefficient.value": 0.05},
    "dapo": {"objective.clip_range": 0.2, "objective.clip_range_high": 0.28, "advantage.scale": True},
    "gspo": {"objective.clip_range": 3e-4, "objective.clip_range_high": 4e-4},
    "cispo": {"objective.clip_range": None, "objective.clip_range_high": 0.28},
    "dppo": {"advantage.scale": False, "objective.divergence": "tv", "objective.delta_low": 0.15,
             "objective.delta_high": 0.15, "objective.anchor": "rollout", "aggregation.length": 32},
    "minpro": {"objective.prefix": "exclusive", "objective.clip_range": 0.2, "objective.clip_range_high": 0.28},
    "bapo": {"objective.form": "paper", "objective.target": 0.4, "objective.low_start": 0.6, "objective.low_limit": 0.9,
             "objective.high_start": 1.2, "objective.high_limit": 3.0},
    "r2vpo": {"objective.variance_bound": "2e-05", "objective.multiplier_lr": 1e4, "objective.multiplier_start": 0.04},
    "lco": {"objective.anchor": "old", "objective.distance": "kld", "objective.beta": 1.0},
    "frpo": {"advantage.scale": False, "objective.risk": 2.0, "objective.jackknife": True,
             "controller.coefficient.value": 1e-4},
    "otb": {**CLIP, "advantage.tail": "zero"},
    "grpo_guard": {**CLIP, "advantage.scale": True, "objective.bucket": 1},
    "clip_cov": {"objective.share": 2e-4, "objective.cov_low": 1.0, "objective.cov_high": 5.0,
                 "objective.dual_clip": None},
    "kl_cov": {"objective.share": 2e-3, "objective.pull": 1.0},
    "sapo": {"objective.steepness_gain": 1.0, "objective.steepness_loss": 1.05, "advantage.scale": True},
    "vespo": {"objective.power_gain": 2.0, "objective.decay_gain": 3.0, "objective.power_loss": 3.0,
              "objective.decay_loss": 2.0, "objective.anchor": "rollout"},
    "luspo": {"objective.clip_range": 2e-3, "objective.clip_range_high": 2.5e-3, "aggregation.length": 1},
    "drpo": {"objective.delta": 12.5, "objective.anchor": "rollout", "advantage.scale": False,
             "aggregation.length": 32},
    "dppo_topk": {"advantage.scale": False, "objective.divergence": "tv", "objective.top_k": 20,
                  "objective.delta_low": 0.15, "objective.delta_high": 0.15, "objective.anchor": "rollout",
                  "aggregation.length": 32},
    "gr": {**CLIP, "advantage.scale": False, "optimizer.gradient_penalty.coef": 0.01,
           "optimizer.gradient_penalty.step": 1e-3, "optimizer.gradient_penalty.clip": 10.0,
           "optimizer.gradient_penalty.direction": "gradient"},
    "ema_pg": {"objective.clip_range": 0.2, "objective.clip_range_high": 0.28, "advantage.scale": True,
               "controller.coefficient.value": 0.001, "controller.reference.name": "moving",
               "controller.reference.decay": 0.9, "controller.reference.every": 10, "controller.route.k": 32,
               "controller.route.gradient": "unbiased"},
    "best_of_n": {"advantage.scale": False},
    "online_dpo": {"advantage.scale": False, "objective.beta": 0.1, "objective.distance": "logistic"},
    "zpg": {"optimizer.oracle.link": "logistic", "optimizer.noise": "same", "optimizer.block_size": None},
    "zbcpg": {"optimizer.oracle.link": "logistic", "optimizer.noise": "same", "optimizer.block_size": 32},
    "dpo": {"preference.beta": 0.1, "preference.label_smoothing": 0.0},
    "cdpo": {"preference.beta": 0.1, "preference.label_smoothing": 0.1},
    "ipo": {"preference.beta": 0.1, "preference.over": "sum"},
    "chi_po": {"preference.beta": 0.05, "preference.reward_max": 2.0},
    "trace": {"preference.beta": 0.3, "preference.kl_coef": 0.1, "preference.gold_pairs": 64,
              "preference.weights": "influence", "evaluator.norm": "sober", "reward.norm": "sober"},
    "var": {"preference.beta": 0.1, "preference.normalise_over": "pair", "preference.include_ref_prob": False},
}  # fmt: skip

HEADER, *ROWS = [[cell.strip() for cell in line.split("|")] for line in ONLINE.strip().splitlines()]
TABLE = {row[0]: dict(zip(HEADER[1:], row[1:], strict=True)) for row in ROWS}


def flat(name: str) -> dict[str, Any]:
    """The resolved configuration, as committed; ``test_flat`` holds it to what is composed."""
    config = yaml.safe_load((FLAT / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(config, dict)
    return config


def route_of(config: dict[str, Any]) -> str:
    """The way that the KL penalty takes to the policy."""
    return str(config["controller.route.name"])


def test_every_preset_is_bound() -> None:
    presets = {path.stem for path in (ROOT / "conf" / "algorithm").glob("*.yaml")}
    assert presets == {*TABLE, *OFFLINE, *BY_VOTES} == {*MARKS}


@pytest.mark.parametrize("name", TABLE)
def test_a_preset_that_learns_from_rollouts_is_what_its_name_says(name: str) -> None:
    config = flat(name)
    found = {group: config[f"{group}.name"] for group in ("critic", "advantage", "objective", "aggregation")}
    found["KL"] = f"{config['controller.penalty.name']} {route_of(config)}"
    found["group"] = str(config["rollout.samples_per_prompt"])
    found["epochs"] = str(config["optimizer.epochs"])
    assert found == TABLE[name]
    assert (config["preference.name"], config["pairs.name"]) == ("none", "none")
    # On fresh data, in one minibatch: what these presets share, and the papers mostly do not.
    assert (config["rollout.staleness"], config["optimizer.minibatches"]) == (0, 1)


@pytest.mark.parametrize("name", OFFLINE)
def test_a_preset_that_learns_from_pairs_is_what_its_name_says(name: str) -> None:
    config = flat(name)
    assert config["preference.name"] == OFFLINE[name]
    assert config["pairs.name"] == "world"
    assert (config["critic.name"], config["controller.penalty.name"], config["optimizer.epochs"]) == ("none", "none", 1)


@pytest.mark.parametrize("name", BY_VOTES)
def test_a_preset_that_learns_from_votes_is_what_its_name_says(name: str) -> None:
    config = flat(name)
    assert config["optimizer.name"] == "zeroth_order"
    assert (config["optimizer.block_size"] is None) == (BY_VOTES[name] == "all weights that train")
    assert (config["critic.name"], config["controller.penalty.name"], config["preference.name"]) == ("none",) * 3
    assert (config["optimizer.oracle.of"], config["evaluator.name"]) == ("gold", "gold_reviews")  # no reward model


@pytest.mark.parametrize("name", MARKS)
def test_the_numbers_that_make_the_name_are_there(name: str) -> None:
    config = flat(name)
    assert {key: config.get(key, "absent") for key in MARKS[name]} == MARKS[name]


def test_no_two_presets_are_one() -> None:
    said = {name: str(TABLE.get(name) or OFFLINE.get(name) or BY_VOTES[name]) + str(MARKS[name]) for name in MARKS}
    assert len({*said.values()}) == len(said)


def test_the_page_of_objectives_says_the_same() -> None:
    page = (ROOT / "docs" / "algorithms" / "objectives.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| `(\w+)` \| `(\w+)`[^|]* \| `(\w+)`[^|]* \| `(\w+)`[^|]* \| ([^|]+) \|", page, re.MULTILINE)
    assert len(lines) == 26
    for name, advantage, objective, aggregation, penalty in lines:
        row = TABLE[name]
        assert (advantage, objective, aggregation) == (row["advantage"], row["objective"], row["aggregation"]), name
        told = re.fullmatch(r"([\d.]+) k\d in the (loss|reward)", penalty)
        assert (told is not None) == row["KL"].startswith("linear"), name
        if told is not None:
            assert row["KL"].split()[1].startswith(told[2]), name
            assert float(told[1]) == MARKS[name]["controller.coefficient.value"], name
