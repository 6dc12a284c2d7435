"""What is scored is what is sampled, whatever the padding and whatever the checkpoint's own sampling defaults."""

from pathlib import Path

import pytest
import torch

from safelab.errors import ConfigError
from safelab.maths.seeds import row_seeds
from safelab.parts.policy.causal_lm import CausalLm
from support.models import WORDS, context, tiny_policy

PROMPTS = ["a b c", "d", "e f"]


def sample(policy, texts=PROMPTS, length=6, seed=0):
    prompts = policy.encode(texts, range(len(texts)))
    return prompts, *policy.generate(prompts, length, seeds=row_seeds(seed, rows=len(texts)))


def test_prompts_are_padded_on_the_left() -> None:
    prompts = tiny_policy().encode(["a b c", "d"], [0, 1])
    assert prompts.ids.tolist() == [[3, 4, 5], [0, 0, 6]]
    assert prompts.mask.tolist() == [[True, True, True], [False, False, True]]


def test_a_long_prompt_keeps_its_end() -> None:
    prompts = tiny_policy().encode(["a " * 30 + "b"], [0])
    assert prompts.ids.shape == (1, 16)
    assert prompts.ids[0, -1] == 4


def test_responses_are_padded_on_the_right_and_have_an_end_token_where_they_ended() -> None:
    ids, mask = tiny_policy().encode_responses(["e"] * 4, ["a b", "c", "d e f", ""], [True, False, True, False], 3)
    assert ids.tolist() == [[3, 4, 1], [5, 0, 0], [6, 7, 8], [1, 0, 0]]
    assert mask.sum(dim=1).tolist() == [3, 1, 3, 1]


def test_a_sampled_response_comes_back_from_its_text() -> None:
    policy = tiny_policy()
    prompts, ids, mask = sample(policy, ["a b c"] * 64, 4)
    # Texts hold no special tokens: what the random policy writes of these besides the end does not come back.
    plain = [not {0, 2} & {*row[keep].tolist()} for row, keep in zip(ids, mask, strict=True)]
    texts = policy.decode(prompts, ids, mask)
    again, again_mask = policy.encode_responses(prompts.texts, texts, policy.ended(ids, mask).tolist(), None)
    rows = zip(plain, ids, mask, again, again_mask, strict=True)
    pairs = [(mine[keep].tolist(), other[kept].tolist()) for good, mine, keep, other, kept in rows if good]
    assert len(pairs) >= 10
    assert all(mine == other for mine, other in pairs)


def test_the_end_token_belongs_to_the_response_and_nothing_after_it() -> None:
    policy = tiny_policy()
    _, ids, mask = sample(policy, ["a b c"] * 64, 12)
    ended = policy.ended(ids, mask)
    assert 0 < ended.sum() < 64
    for row, keep, over in zip(ids.tolist(), mask.tolist(), ended.tolist(), strict=True):
        length = row.index(1) + 1 if over else len(row)
        assert keep == [True] * length + [False] * (len(row) - length)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_are_those_of_a_naive_pass(temperature: float) -> None:
    policy = tiny_policy(temperature)
    prompts, ids, mask = sample(policy)
    hidden = policy.model.hidden(prompts.ids, prompts.mask, ids, mask)
    stats = policy.model.token_stats(hidden[:, :-1], ids)
    assert hidden.shape[1] == ids.shape[1] + 1
    for row, text in enumerate(PROMPTS):
        tokens = [WORDS.index(word) for word in text.split()]
        for column in range(int(mask[row].sum())):
            logits = policy.module(torch.tensor([tokens])).logits[0, -1].double() / temperature
            logp = torch.log_softmax(logits, dim=-1)
            token = int(ids[row, column])
            assert float(stats.logp_tok[row, column]) == pytest.approx(float(logp[token]), abs=1e-5)
            assert float(stats.entropy_tok[row, column]) == pytest.approx(float(-(logp.exp() * logp).sum()), abs=1e-5)
            tokens.append(token)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_gradient_in_the_logits_is_that_of_autograd(temperature: float) -> None:
    policy = tiny_policy(temperature)
    prompts, ids, mask = sample(policy)
    hidden = policy.model.hidden(prompts.ids, prompts.mask, ids, mask)[:, :-1]
    found = policy.model.logit_gradient(hidden, ids, mask)
    logits = (policy.module.get_output_embeddings()(hidden).detach().double() / temperature).requires_grad_()
    logp_tok = logits.log_softmax(dim=-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    (slope,) = torch.autograd.grad(logp_tok.sum(), logits)
    assert torch.allclose(found[mask].double(), slope.square().sum(dim=-1)[mask], atol=1e-6)
    assert not found.requires_grad
    assert not mask.all()
    # The stream that is read holds no padding; a policy that is told to compute it says the same of the rest.
    assert not found[~mask].any()
    policy.keep_padding()
    padded = policy.model.logit_gradient(policy.model.hidden(prompts.ids, prompts.mask, ids, mask)[:, :-1], ids, mask)
    assert torch.allclose(padded[mask], found[mask], atol=1e-5)


def test_sampled_frequencies_are_the_scored_probabilities() -> None:
    # The checkpoint asks for top-k 3; with it no token beyond the three likeliest would ever appear.
    policy = tiny_policy()
    count = 6000
    _, ids, _ = sample(policy, ["a b c"] * count, 1)
    frequency = torch.bincount(ids[:, 0], minlength=len(WORDS)) / count
    prompts = policy.encode(["a b c"], [0])
    hidden = policy.model.hidden(prompts.ids, prompts.mask, ids[:1], torch.ones(1, 1, dtype=torch.bool))
    probability = policy.model.log_probs(hidden[:, :1]).exp()[0, 0]
    deviation = (probability * (1 - probability) / count).sqrt()
    assert ((frequency - probability).abs() < 5 * deviation + 1e-9).all()
    assert (frequency > 0).sum() > 3


def test_the_reference_starts_equal_and_stays() -> None:
    policy = tiny_policy()
    prompts, ids, mask = sample(policy)
    before = policy.reference.hidden(prompts.ids, prompts.mask, ids, mask)
    with torch.no_grad():
        for weight in policy.module.parameters():
            weight.add_(0.1)
    assert torch.equal(policy.reference.hidden(prompts.ids, prompts.mask, ids, mask), before)
    assert not torch.allclose(policy.model.hidden(prompts.ids, prompts.mask, ids, mask), before)
    assert not any(weight.requires_grad for weight in policy.reference.module.parameters())


@pytest.mark.parametrize("tied", [False, True])
def test_saved_weights_come_back_to_the_bit(tied: bool, tmp_path: Path) -> None:
    policy, other = tiny_policy(tied=tied), tiny_policy(tied=tied)
    with torch.no_grad():
        for weight in policy.module.parameters():
            weight.add_(torch.randn_like(weight))
    policy.save(tmp_path)
    other.restore(tmp_path)
    for mine, theirs in zip(policy.module.parameters(), other.module.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_decoded_text_has_no_special_tokens() -> None:
    policy = tiny_policy()
    ids = torch.tensor([[9, 3, 1, 0]])
    mask = torch.tensor([[True, True, True, False]])
    assert policy.decode(policy.encode(["b"], [0]), ids, mask) == ("good a",)


def test_a_path_without_a_model_is_refused(tmp_path: Path) -> None:
    option = CausalLm(
        name="causal_lm", path=str(tmp_path), dtype="float32", max_prompt_tokens=8,
        sampling_temperature=1.0, attention="sdpa", packing="auto", gradient_checkpointing=False, sharding="none",
        prompt_template="plain", compile=False,
        adapter={"name": "none", "reference_dtype": None},
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"policy\.path must be a directory or hub name"):
        option.build(context())
