import pytest

from safelab.plugins import build_option
from safelab.world import reward_model
from safelab.world.artifacts import ensure_language_model, ensure_reward_model
from safelab.world.gold import gold_score
from safelab.world.options import WorldOptions
from support.worlds import OPTIONS, world_cache, world_context

COUNT = OPTIONS["reward_model"]["pairs"]


def source(seed: int = 0, **world):
    options = {"name": "world", "world": {**OPTIONS, **world}, "seed": seed}
    numbers = {"batch_size": 4, "evaluate_every": 1, "max_response_tokens": None}
    return build_option("pairs", {**options, **numbers}, world_context())


@pytest.mark.slow
def test_they_are_the_pairs_of_the_runs_reward_model(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def keep(policy, tokenizer, pairs, *rest):
        seen.extend(pairs)
        raise LookupError

    world = WorldOptions(**OPTIONS)
    ensure_language_model(world, world_cache(), print)
    monkeypatch.setattr(reward_model, "train_reward_model", keep)
    with pytest.raises(LookupError):
        ensure_reward_model(world, 41, world_cache(), print)
    drawn = source(seed=41).pairs(0, COUNT)
    assert sorted((pair.prompt, pair.chosen, pair.rejected, pair.chosen_ended) for pair in drawn) == sorted(
        (pair.chosen.prompt, pair.chosen.response, pair.rejected.response, pair.chosen.ended) for pair in seen
    )


def test_the_gold_score_labels_them_and_noise_turns_some_round() -> None:
    def wrong(pairs) -> int:
        scores = [
            (gold_score(p.prompt, p.chosen, p.chosen_ended), gold_score(p.prompt, p.rejected, p.rejected_ended))
            for p in pairs
        ]
        assert all(chosen != rejected for chosen, rejected in scores)
        return sum(chosen < rejected for chosen, rejected in scores)

    assert wrong(source(reward_model={**OPTIONS["reward_model"], "label_noise": 0.0}).pairs(0, COUNT)) == 0
    assert 0 < wrong(source(reward_model={**OPTIONS["reward_model"], "label_noise": 0.4}).pairs(0, COUNT)) < COUNT


def test_another_seed_has_other_pairs() -> None:
    assert {pair.chosen for pair in source(0).pairs(0, COUNT)} != {pair.chosen for pair in source(1).pairs(0, COUNT)}
