"""The floor computes what an update computes: against rows read one by one by the plain model."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from scripts.bench import floor, update


@pytest.mark.parametrize(
    ("prompts", "answers"), [((5, 5, 5), (4, 4, 4)), ((9, 3, 6), (4, 4, 4)), ((9, 3, 6), (2, 5, 1))]
)
def test_it_decodes_and_scores_as_the_plain_model_does(prompts, answers, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(update, "WIDTH", 16)
    monkeypatch.setattr(update, "LAYERS", 2)
    update.save_model(tmp_path, ends=False)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    found = floor.Floor(tmp_path, prompts, answers)
    # The likeliest token in place of a drawn one, so that both write the same.
    monkeypatch.setattr(torch, "multinomial", lambda shares, count: shares.argmax(dim=-1, keepdim=True))
    rows = found.decode()
    assert [len(row) - len(prompt) for row, prompt in zip(rows, found.prompts, strict=True)] == sorted(answers)[::-1]
    wanted = []
    with torch.no_grad():
        for row, prompt in zip(rows, found.prompts, strict=True):
            logits = plain(input_ids=row.unsqueeze(0)).logits[0, len(prompt) - 1 : -1]
            torch.testing.assert_close(row[len(prompt) :], logits.argmax(dim=-1))
            wanted.append(torch.log_softmax(logits, dim=-1).amax(dim=-1))
        torch.testing.assert_close(found.logp(rows).flatten(), torch.cat(wanted))
    before = found.model.lm_head.weight.clone()
    found.update()
    assert not torch.equal(found.model.lm_head.weight, before)
