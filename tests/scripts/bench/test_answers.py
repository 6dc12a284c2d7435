"""Responses get the lengths that were asked for, by the policy's own sampling."""

from pathlib import Path

import pytest

from scripts.bench import answers, update

LENGTHS = (1, 2, 7, 8, 3, 8, 5, 6, 1, 4, 8, 2, 3, 7, 6, 5)


def test_rows_end_where_they_should(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(update, "WIDTH", 16)
    monkeypatch.setattr(update, "LAYERS", 1)
    setting = update.Setting(prompts=(4, 9) * 8, answers=LENGTHS, ends=True)
    update.make_setting(tmp_path, setting)
    parts = update.parts_of(update.config_for(tmp_path, *setting.overrides))
    prompts = parts.policy.encode(parts.data.prompts(0, 16), range(16))
    sampler = answers.Answers(parts.rollout, LENGTHS)
    rollout = sampler.sample(parts.policy, prompts, range(16))
    assert rollout.mask.sum(dim=1).tolist() == list(LENGTHS)
    assert rollout.ended_seq.tolist() == [length < 8 for length in LENGTHS]
    assert sampler.batch_size == 16

    monkeypatch.setattr(answers, "seed_of", lambda length, most: 0)
    with pytest.raises(SystemExit, match="has sampling changed"):
        sampler.sample(parts.policy, prompts, range(16))
