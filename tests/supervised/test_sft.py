"""The loss against a naive loop over single tokens, what is cut and left out, and that something is learnt."""

import math
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from safelab.supervised.pairs import learn_from_pairs
from safelab.supervised.rows import cut
from support.lessons import lesson, options
from support.models import model_directory
from support.pairs import pairs


def test_the_loss_is_the_naive_sum_over_answer_tokens_and_the_end() -> None:
    learner, some = lesson("sft"), pairs(5)
    model = AutoModelForCausalLM.from_pretrained(model_directory()).double().eval()
    tokenizer = AutoTokenizer.from_pretrained(model_directory())
    expected, count = 0.0, 0
    for pair in some:
        prompt = tokenizer(pair.prompt)["input_ids"]
        answer = [*tokenizer(pair.chosen)["input_ids"], tokenizer.eos_token_id]
        for position in range(len(answer)):
            with torch.no_grad():
                logits = model(torch.tensor([prompt + answer[:position]])).logits[0, -1]
            expected -= float(logits.log_softmax(-1)[answer[position]])
            count += 1
    assert learner.count(some) == count
    assert float(learner.loss_sum(some).detach()) == pytest.approx(expected, rel=1e-5)
    assert learner.measure(cut(some, 2))["loss_held_out"] == pytest.approx(expected / count, rel=1e-5)


def test_prompts_and_rejected_answers_do_not_reach_the_loss() -> None:
    learner, (pair,) = lesson("sft"), pairs(1)
    assert torch.equal(learner.loss_sum([replace(pair, rejected=" f")]), learner.loss_sum([pair]))
    whole_prompt, whole_answer = learner.reading.row(pair.prompt, pair.chosen)
    prompt, answer = lesson("sft", max_tokens=4).reading.row(pair.prompt, pair.chosen)
    assert len(prompt) + len(answer) == 4
    assert prompt == whole_prompt[-len(prompt) :]
    assert answer == whole_answer[: len(answer)]


def test_it_learns_to_write_the_better_answer() -> None:
    chosen = options("sft", lr=0.01, batch_size=16)
    learner = lesson("sft")
    held_out = pairs(50, seed=1)
    before = learner.measure(cut(held_out, 50))["loss_held_out"]
    rows = learn_from_pairs(learner, pairs(320), chosen, lambda text: None)
    # Of four tokens one is the end, one "good", two are context words: word frequencies alone cost 1.94 nats.
    frequencies = 0.5 * math.log(4) + 0.5 * math.log(12)
    assert learner.measure(cut(held_out, 50))["loss_held_out"] < frequencies < before
    assert len(rows) == 20
