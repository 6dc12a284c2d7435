"""Evaluation: the same prompts for both sides, KL 0 for the reference, and distinct-n by hand."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from safelab.training.probes.evaluation import distinct_n, evaluate
from support.models import model_directory
from support.runs import parts_of, run, small


def test_distinct_n_by_hand() -> None:
    # a b a b / a: words a, b of five; pairs ab, ba, ab
    assert distinct_n(["a b a b", "a"], 1) == pytest.approx(2 / 5)
    assert distinct_n(["a b a b", "a"], 2) == pytest.approx(2 / 3)
    assert distinct_n(["a"], 2) == 0.0


def test_a_trained_policy_beats_the_one_it_started_from(tmp_path: Path) -> None:
    overrides = ["algorithm=ppo_matched", "updates=20", "optimizer.lr=3e-3", "rollout.batch_size=32"]
    config = small(tmp_path, *overrides)
    outcome, _ = run(config)
    weights = outcome.directory / "checkpoints" / "update_000020" / "policy"
    found = evaluate(parts_of(config), weights, 40, lambda text: None)
    assert found.policy.prompts == found.reference.prompts
    # Six different prompts in the file, each taken once.
    assert len(found.policy.prompts) == len(set(found.policy.prompts)) == 6
    assert found.reference.kl_token == pytest.approx(0.0, abs=1e-6)
    assert found.policy.kl_token > 0.01
    assert sum(found.policy.reward_seq) > sum(found.reference.reward_seq) + 1
    again = evaluate(parts_of(config), weights, 40, lambda text: None)
    assert again == found


def test_the_kl_is_that_of_a_naive_pass_over_each_response(tmp_path: Path) -> None:
    outcome, _ = run(small(tmp_path, "optimizer.lr=0.01"))
    parts = parts_of(small(tmp_path))
    weights = outcome.directory / "checkpoints" / "update_000003" / "policy"
    found = evaluate(parts, weights, 6, lambda text: None).policy

    trained = AutoModelForCausalLM.from_pretrained(weights).double()
    start = AutoModelForCausalLM.from_pretrained(model_directory()).double()
    tokenizer = AutoTokenizer.from_pretrained(weights)
    compared = False
    for prompt, response, ended, kl in zip(found.prompts, found.responses, found.ended_seq, found.kl_seq, strict=True):
        ids = tokenizer(prompt)["input_ids"]
        tokens = tokenizer(response)["input_ids"] + [tokenizer.eos_token_id] * ended
        if tokenizer.pad_token_id in tokens or len(tokens) != found.length_seq[found.prompts.index(prompt)]:
            continue  # a sampled special token leaves no trace in the text
        with torch.no_grad():
            new, old = (
                model(torch.tensor([ids + tokens])).logits[0, len(ids) - 1 : -1].log_softmax(-1)
                for model in (trained, start)
            )
        assert kl == pytest.approx(float((new.exp() * (new - old)).sum()), rel=1e-3)
        compared = True
    assert compared


def test_an_engine_with_noise_is_evaluated_without_it(tmp_path: Path) -> None:
    """So that it is the policy that is judged, as with any other sampler of it."""
    outcome, _ = run(small(tmp_path, "updates=1"))
    weights = outcome.directory / "checkpoints" / "update_000001" / "policy"
    noisy = parts_of(small(tmp_path, "rollout=noisy", "rollout.noise_std=3.0"))
    found, expected = (
        evaluate(parts, weights, 6, lambda text: None).policy for parts in (noisy, parts_of(small(tmp_path)))
    )
    assert found.responses == expected.responses
    assert found.reward_seq == expected.reward_seq
