"""The lengths that a dry run reads are those of the batches that the run makes; what a run refuses, it refuses."""

import json
from pathlib import Path

import pytest

from safelab.app.cli import main
from safelab.app.dry_run.estimate import longest_of
from safelab.errors import DataError
from safelab.training.offline.stages import draw_pairs, make_pairs
from safelab.training.rollouts import draw_prompts
from support.pairs import offline
from support.runs import parts_of, resolved, small


def test_the_longest_prompt_is_the_width_of_the_widest_batch(tmp_path: Path) -> None:
    config = small(tmp_path, "rollout.batch_size=2", "updates=2")
    parts = parts_of(config)
    widths = [draw_prompts(parts, 2 * update).ids.shape[1] for update in range(2)]
    found = longest_of(config)
    assert found.prompt == max(widths) < config["policy"]["max_prompt_tokens"]
    assert found.response == config["rollout"]["max_new_tokens"]
    assert found.said == "the longest of the 4 different prompts that the run draws"
    assert longest_of({**config, "policy": {**config["policy"], "max_prompt_tokens": 2}}).prompt == 2


def test_pairs_are_read_with_their_answers(tmp_path: Path) -> None:
    config = offline(tmp_path, "algorithm=dpo", "rollout.max_new_tokens=1", "pairs.max_response_tokens=50")
    parts = parts_of(config)
    batch = make_pairs(parts, draw_pairs(parts, 0))
    found = longest_of({**config, "pairs": {**config["pairs"], "batch_size": 12}})
    assert found.response >= batch.ids.shape[1] > 1
    assert found.response == 5  # of at most four words, and the end


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["+recipe=paper_main"], "data.path=Anthropic/hh-rlhf is not a file on this machine"),
        (["algorithm=dpo"], "pairs=world is not read without a run"),
        (["policy=qwen2_5_0_5b"], "no tokenizer of Qwen/Qwen2.5-0.5B on this machine"),
    ],
)
def test_what_is_not_at_hand_is_said_and_the_longest_allowed_is_taken(overrides: list[str], said: str) -> None:
    config = resolved(*overrides)
    found = longest_of(config)
    assert found.said == f"the longest allowed; not measured: {said}"
    assert found.prompt == config["policy"]["max_prompt_tokens"]


def test_a_prompt_that_the_run_would_refuse_is_refused(tmp_path: Path, capsys) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"prompt": "a b"}) + "\n" + json.dumps({"prompt": " "}) + "\n")
    config = small(tmp_path)
    config["data"] = {"name": "jsonl", "path": str(path), "field": "prompt", "skip_unfit": False, "seed": 0}
    with pytest.raises(DataError, match="line 2: prompt must be text that is not blank"):
        longest_of(config)
    words = ["policy=local", f"policy.path={config['policy']['path']}", "data=text", "data.path=nowhere.txt"]
    assert main(["train", "dry_run=true", "reward=released_heuristic", *words]) == 2
    assert "data.path" in capsys.readouterr().err
