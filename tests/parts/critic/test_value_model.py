"""A value network from a reward model: its values and gradient against plain loops in float64, and whole runs."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification

from safelab.app.config.build import validate
from safelab.errors import ConfigError
from safelab.training import rollouts, stages
from safelab.training.losses import counts, gradient, loss_terms, step_zero
from safelab.training.rewards import score_rewards
from safelab.types import TrainBatch
from support.critics import critic
from support.models import classifier_directory, model_directory
from support.runs import numbers, parts_of, resolved, run, small, trained

PROMPTS, RESPONSES = [[3, 4, 5], [6], [7, 8, 3, 4]], [[9, 3, 1], [10, 1], [5, 6, 7, 8]]
VALUES = ("algorithm=ppo", "critic=value_model")


def padded(width: int, columns: int) -> tuple[Tensor, ...]:
    """The prompts, padded on the left, and the responses, padded on the right; with their masks."""
    ids, out = torch.zeros(3, width, dtype=torch.long), torch.zeros(3, columns, dtype=torch.long)
    mask, kept = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(out, dtype=torch.bool)
    for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        ids[row, width - len(prompt) :], mask[row, width - len(prompt) :] = torch.tensor(prompt), True
        out[row, : len(response)], kept[row, : len(response)] = torch.tensor(response), True
    return ids, mask, out, kept


def plain() -> Any:
    """The reward model as transformers reads it, in float64."""
    return AutoModelForSequenceClassification.from_pretrained(classifier_directory(), dtype=torch.float64).eval()


def value_at(model: Any, tokens: list[int]) -> Tensor:
    """The classifier's score at the last of these tokens: no batch, no padding."""
    # Not its logits, which pass over padding tokens at the end: a policy may write them.
    return model.score(model.model(input_ids=torch.tensor([tokens])).last_hidden_state)[0, -1, 0]


def values_of(made: Any, inputs: tuple[Tensor, ...]) -> Tensor:
    """The critic's values; what the policy's states are does not matter."""
    states = made.states(torch.full((len(inputs[0]), inputs[2].shape[1] + 1, 16), torch.nan), *inputs)
    return made.combine(made.heads(states, inputs[3]))


def test_values_are_the_classifiers_scores_of_what_stands_before_each_token() -> None:
    made, model = critic("value_model"), plain()
    found = values_of(made, padded(4, 4))
    assert found.shape == (3, 4)
    assert found.dtype == torch.float32
    for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        expected = [value_at(model, prompt + response[:column]).item() for column in range(len(response))]
        assert found[row, : len(response)].tolist() == pytest.approx(expected, abs=1e-5)
    assert found[padded(4, 4)[3]].std() > 0.1


def test_neither_padding_nor_company_changes_a_value() -> None:
    made, inputs = critic("value_model"), padded(4, 4)
    found, mask = values_of(made, inputs), inputs[3]
    wider = values_of(made, padded(9, 7))[:, :4]
    assert torch.allclose(wider[mask], found[mask], atol=1e-6)
    alone = torch.cat([values_of(made, tuple(each[row : row + 1] for each in inputs)) for row in range(3)])
    assert torch.allclose(alone[mask], found[mask], atol=1e-6)
    shared = tuple(torch.cat([each, each]) for each in inputs)  # prompts of neighbours stand once
    assert torch.allclose(values_of(made, shared)[3:][mask], found[mask], atol=1e-6)


def test_the_target_is_the_network_itself_and_carries_no_gradient() -> None:
    made, inputs = critic("value_model"), padded(4, 4)
    states = made.states(torch.zeros(3, 5, 16), *inputs)
    assert torch.equal(made.bootstrap(states, inputs[3]), made.heads(states, inputs[3]))
    assert not made.bootstrap(states, inputs[3]).requires_grad
    assert made.target is None


def batch_of(tmp_path: Path) -> tuple[Any, Any, TrainBatch]:
    """Parts, plan and training data of an update with returns that are not those of the values."""
    parts = parts_of(small(tmp_path, *VALUES, "rollout.batch_size=6"))
    rollout = rollouts.roll_out(parts, rollouts.draw_prompts(parts, 0), 0)
    scored = stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))
    plan = parts.controller.plan(parts.controller.init())
    made = stages.make_batch(parts, scored, torch.linspace(-1, 1, 6), plan)
    shift = torch.randn(made.returns.shape, generator=torch.Generator().manual_seed(1))
    return parts, plan, replace(made, returns=made.returns + 0.3 * shift)


def test_the_gradient_is_that_of_a_loop_in_float64(tmp_path: Path) -> None:
    """After a move of the weights, so that some values are clipped to the old ones."""
    parts, plan, batch = batch_of(tmp_path)
    model = plain()
    torch.manual_seed(2)
    with torch.no_grad():
        for mine, its in zip(parts.critic.module.parameters(), model.parameters(), strict=True):
            mine.add_(0.01 * torch.randn_like(mine))
            its.copy_(mine)
    found = loss_terms(parts, plan, batch, counts(batch), objective=parts.objective.init())
    losses, clipped = [], 0
    for row in range(6):
        prompt = batch.prompt_ids[row][batch.prompt_mask[row]].tolist()
        response = batch.ids[row][batch.mask[row]].tolist()
        for column in range(len(response)):
            value, old = value_at(model, prompt + response[:column]), batch.heads_old[row, column, 0].double()
            target = batch.returns[row, column].double()
            near = torch.minimum(torch.maximum(value, old - 0.2), old + 0.2)
            losses.append(0.5 * torch.maximum((value - target) ** 2, (near - target) ** 2))
            clipped += int(near != value)
    assert 0 < clipped < len(losses)
    loss = 0.1 * torch.stack(losses).mean()
    loss.backward()
    assert float(found.weighted["value"]) == pytest.approx(float(loss), rel=1e-4)
    expected = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    mine = gradient(found.weighted["value"], parts.critic.module).double()
    assert expected.norm() > 1e-2
    assert float((mine - expected).norm() / expected.norm()) < 1e-4


def test_the_value_term_reaches_the_network_and_never_the_policy(tmp_path: Path) -> None:
    parts, plan, batch = batch_of(tmp_path)
    found = step_zero(parts, plan, batch)
    assert found["value"]["critic_grad_norm"] > 0
    assert found["value"]["policy_grad_norm"] == 0
    assert found["policy"]["critic_grad_norm"] == 0


def test_all_of_the_network_learns_and_the_reward_models_file_stays(tmp_path: Path) -> None:
    file = classifier_directory() / "model.safetensors"
    before, start = hashlib.sha256(file.read_bytes()).hexdigest(), load_file(file)
    rate = "optimizer.critic_lr=1e-3"
    parts, _, rows = trained(small(tmp_path, *VALUES, rate, "updates=4"))
    moved = {name: not torch.equal(weight, start[name]) for name, weight in parts.critic.module.state_dict().items()}
    assert all(moved.values())
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert all(row["critic/grad_norm"] > 0 and "critic/head_gap" not in row for row in rows)


def test_it_learns_a_constant_return(tmp_path: Path) -> None:
    """Rewards of 1 whatever is written: the values come near them."""
    _, _, rows = trained(
        small(tmp_path, *VALUES, "reward.name='support.runs:always_one'", "updates=25",
              "controller=none", "optimizer.critic_lr=3e-3", "critic.value_clip=none")
    )  # fmt: skip
    assert rows[0]["critic/error_ratio"] > 0.3
    assert rows[-1]["critic/error_ratio"] < 0.05


def test_a_run_that_goes_on_is_that_without_a_break_to_the_bit(tmp_path: Path) -> None:
    words = (*VALUES, "checkpoint.every=1", "checkpoint.keep=1")
    (tmp_path / "once").mkdir()
    (tmp_path / "twice").mkdir()
    once, expected = run(small(tmp_path / "once", *words, "updates=4"))
    run(small(tmp_path / "twice", *words, "updates=2"))
    twice, found = run(small(tmp_path / "twice", *words, "updates=4"))
    assert numbers(found) == numbers(expected)
    theirs, mine = (
        load_file(outcome.directory / "checkpoints" / "update_000004" / "tensors.safetensors")
        for outcome in (once, twice)
    )
    assert any(name.startswith("critic.model.layers.") for name in mine)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_while_it_warms_up_the_policy_stays(tmp_path: Path) -> None:
    parts, _, _ = trained(small(tmp_path, *VALUES, "critic.warmup_updates=2", "updates=2"))
    untouched = load_file(model_directory() / "model.safetensors")
    assert all(torch.equal(weight, untouched[name]) for name, weight in parts.policy.module.state_dict().items())
    start = load_file(classifier_directory() / "model.safetensors")["score.weight"]
    assert not torch.equal(parts.critic.module.score.weight, start)


def test_it_starts_from_the_rewards_own_model_where_that_has_a_path() -> None:
    rewarded = resolved("reward=sequence_classifier", "reward.path=some/rm", "algorithm=ppo", "critic=value_model")
    assert rewarded["critic"]["path"] == "some/rm"
    with pytest.raises(ConfigError, match=r"must have a path where the reward has none, got null: .* critic\.path=DIR"):
        critic("value_model", path=resolved("critic=value_model")["critic"]["path"])


def test_an_advantage_of_whole_responses_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="critic must give a value per sequence, got value_model, which gives one per token"
    ):
        validate(small(tmp_path, "algorithm=safe", "critic=value_model"))


def test_two_labels_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"critic\.path must have one label, got .* with 2: give a reward model"):
        critic("value_model", path=str(classifier_directory(2)))


def test_words_beyond_the_policys_change_nothing_and_the_same_numbers_must_mean_the_same_words(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(classifier_directory())
    tokenizer.add_tokens(["more"])
    model = plain().float()
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    critic("value_model", path=str(tmp_path))
    file = tmp_path / "tokenizer.json"
    file.write_text(file.read_text().replace('"good"', '"gone"').replace('"bad"', '"good"').replace('"gone"', '"bad"'))
    with pytest.raises(
        ConfigError, match=r"critic\.path must have the policy's tokenizer, .* \(of these it reads otherwise: 2\)"
    ):
        critic("value_model", path=str(tmp_path))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere/at/all", r"critic\.path must be a path that exists or a name on the hub, got 'nowhere/at/all'"),
        (str(model_directory()), r"which lacks score\.weight"),
    ],
    ids=["nothing there", "no score"],
)
def test_what_is_no_classifier_is_refused(path: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        critic("value_model", path=path)


def test_a_model_that_sees_what_follows_is_refused(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=12, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                        num_labels=1, pad_token_id=0)  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(model_directory()).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"critic\.path must be a causal model .* a BertForSequenceClassification"):
        critic("value_model", path=str(tmp_path))


def test_too_few_positions_of_its_own_are_told(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2ForSequenceClassification

    config = GPT2Config(vocab_size=12, n_embd=16, n_layer=1, n_head=2, n_positions=20, num_labels=1, pad_token_id=0)
    GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(model_directory()).save_pretrained(tmp_path)
    words = (*VALUES, f"critic.path={tmp_path}", "policy.max_prompt_tokens=16")
    assert parts_of(small(tmp_path, *words, "rollout.max_new_tokens=4")).critic.positions == 20
    with pytest.raises(ConfigError, match="must be at most the critic's 20 positions, got 16 \\+ 6"):
        parts_of(small(tmp_path, *words))
