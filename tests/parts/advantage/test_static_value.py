"""DVPO's advantages on given values, and what is read of a value model."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForTokenClassification, AutoTokenizer

from safelab.errors import ConfigError
from safelab.parts.advantage._value_model import load_value_model
from safelab.parts.advantage.static_value import StaticValue
from safelab.plugins import build_option
from safelab.types import PromptBatch, Rollout
from support.evidence import evidence
from support.models import context, model_directory, tiny_policy, value_model_directory
from support.worlds import OPTIONS

CONF = Path(__file__).parents[3] / "conf"
POLICY = tiny_policy()

# The oracle's values (worked by hand elsewhere) and a second response that makes their mean 0 and deviation 1.
ORACLE = [0.2, 0.6, -0.1, 0.4]
SECOND = [-0.55 + 1.9125**0.5, -0.55 - 1.9125**0.5]


class Given:
    """A value model that says what it was told."""

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows = torch.tensor(rows)

    def values(self, rollout: Rollout) -> torch.Tensor:
        return self.rows


def options(**changes: object) -> dict:
    config = yaml.safe_load((CONF / "advantage" / "static_value.yaml").read_text())
    return {**config, "world": OPTIONS, "seed": 0, "micro_batch_size": None, **changes}


def estimated(rows: list[list[float]], lengths: list[int], penalty: float = 0.0, **changes: object) -> torch.Tensor:
    given = evidence([0.3] * len(rows), lengths=lengths, columns=len(rows[0]) - 1)
    given = replace(given, token_reward_tok=torch.full(given.mask.shape, penalty))
    return StaticValue(**options(**changes)).reading(Given(rows)).estimate(given).advantage_tok


def test_the_papers_advantage_is_the_value_after_the_token_and_the_penalty() -> None:
    found = estimated([[9.0, 0.5, -0.2, 7.0]], [2], penalty=-0.1, whiten=False)
    assert found.tolist() == [pytest.approx([0.4, -0.3, 0.0])]


def test_whitened_by_hand() -> None:
    # Values 0.5, -0.5 and 0.3: mean 0.1, unbiased deviation sqrt(0.28).
    found = estimated([[9.0, 0.5, -0.5], [9.0, 0.3, 7.0]], [2, 1])
    assert found.flatten().tolist() == pytest.approx([0.755929, -1.133893, 0.377964, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ("trace_decay", "expected"), [(1.0, [-0.2, -0.6, 0.1, -0.4]), (0.95, [-0.1567, -0.586, 0.12, -0.4])]
)
def test_the_authors_code_on_the_oracle(trace_decay: float, expected: list[float]) -> None:
    # The value after the last token is never read.
    rows = [[*ORACLE, 7.0], [*SECOND, 7.0, 7.0, 7.0]]
    found = estimated(rows, [4, 2], mode="whitened_gae", whiten=False, trace_decay=trace_decay)
    assert found[0].tolist() == pytest.approx(expected, abs=1e-4)
    assert found[1, 2:].tolist() == [0.0, 0.0]


def test_in_the_authors_code_scale_and_offset_of_the_values_do_not_matter_and_the_penalty_does() -> None:
    rows = [[0.2, 0.6, -0.1], [0.9, -0.3, 0.5]]
    moved = [[3.0 * value - 1.0 for value in row] for row in rows]
    code = {"mode": "whitened_gae", "whiten": False}
    assert torch.allclose(estimated(rows, [2, 2], **code), estimated(moved, [2, 2], **code), atol=1e-5)
    gain = estimated(rows, [2, 2], penalty=-0.1, **code) - estimated(rows, [2, 2], **code)
    assert gain.flatten().tolist() == pytest.approx([-0.195, -0.1] * 2, abs=1e-6)


@pytest.mark.parametrize("mode", ["static_value", "whitened_gae"])
def test_the_rewards_score_moves_nothing(mode: str) -> None:
    made = StaticValue(**options(mode=mode)).reading(Given([[0.1, 0.2, 0.4], [0.3, 0.9, 0.8]]))
    low, high = (made.estimate(evidence(rewards)).advantage_tok for rewards in ([0.0, 0.0], [5.0, -5.0]))
    assert torch.equal(low, high)
    assert low.abs().max() > 0.1


@pytest.mark.parametrize("mode", ["static_value", "whitened_gae"])
def test_equal_values_and_single_tokens_give_finite_numbers(mode: str) -> None:
    assert estimated([[0.3, 0.3, 0.3]] * 2, [2, 2], mode="static_value").abs().max() == 0
    assert torch.isfinite(estimated([[0.3, 0.3], [0.3, 0.3]], [1, 1], mode=mode)).all()


def rollout(width: int, columns: int) -> Rollout:
    """Two prompts and two responses, with padding before and after."""
    prompts, responses = [[3, 4, 5], [6]], [[9, 3, 1], [10, 1]]
    ids, mask = torch.zeros(2, width, dtype=torch.long), torch.zeros(2, width, dtype=torch.bool)
    out, kept = torch.zeros(2, columns, dtype=torch.long), torch.zeros(2, columns, dtype=torch.bool)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        ids[row, width - len(prompt) :], mask[row, width - len(prompt) :] = torch.tensor(prompt), True
        out[row, : len(response)], kept[row, : len(response)] = torch.tensor(response), True
    batch = PromptBatch(texts=("", ""), ids=ids, mask=mask, group_seq=torch.arange(2))
    return Rollout(prompts=batch, ids=out, mask=kept, ended_seq=torch.ones(2, dtype=torch.bool), responses=("", ""))


@pytest.mark.parametrize("packing", [True, False])
def test_values_are_those_of_one_sequence_at_a_time(packing: bool) -> None:
    model = load_value_model(str(value_model_directory()), "float32", None, context(POLICY), packing=packing)
    assert (model._reader is not None) is packing
    plain = AutoModelForTokenClassification.from_pretrained(value_model_directory()).eval()
    found = model.values(rollout(3, 3))
    for row, (prompt, response) in enumerate([([3, 4, 5], [9, 3, 1]), ([6], [10, 1])]):
        with torch.no_grad():
            alone = plain(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 :, 0]
        assert found[row, : len(response) + 1].tolist() == pytest.approx(alone.tolist(), abs=1e-5)


def test_neither_padding_nor_the_cut_into_passes_matters() -> None:
    whole = load_value_model(str(value_model_directory()), "float32", None, context(POLICY))
    pieces = load_value_model(str(value_model_directory()), "float32", 1, context(POLICY))
    found = whole.values(rollout(3, 3))
    assert found.std() > 0.1
    assert torch.allclose(found, whole.values(rollout(5, 6))[:, :4], atol=1e-5)
    assert torch.allclose(found, pieces.values(rollout(3, 3)), atol=1e-5)


def test_nothing_of_it_is_trained() -> None:
    model = load_value_model(str(value_model_directory()), "float32", None, context(POLICY))
    assert not model.values(rollout(3, 3)).requires_grad
    assert not any(weight.requires_grad for weight in model._module.parameters())


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(value_model_directory())
    AutoModelForTokenClassification.from_pretrained(value_model_directory()).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(file.read_text().replace('"good"', '"gone"'))
    with pytest.raises(
        ConfigError, match=r"vocabulary of 12 tokens where the policy has 12 \(of these it reads otherwise: 1\)"
    ):
        load_value_model(str(tmp_path), "float32", None, context(POLICY))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere/at/all", r"advantage\.path must be a path that exists or a name on the hub, got 'nowhere/at/all'"),
        (
            str(model_directory()),
            r"which lacks score\.bias, score\.weight: they would be random; make one with safelab value-model",
        ),
        (None, r"advantage\.path must be given with a policy that is not the embedded world's, got null"),
    ],
    ids=["no folder", "no value model", "no path"],
)
def test_a_mistake(path: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_option("advantage", options(path=path), context(POLICY))
