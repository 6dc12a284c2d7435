import torch

from safelab.plugins import build_option
from support.worlds import OPTIONS, world_cache, world_context


def build(said: list[str]):
    options = {
        "name": "tiny",
        "world": OPTIONS,
        "dtype": "float32",
        "max_prompt_tokens": 64,
        "sampling_temperature": 1.0,
        "attention": "sdpa",
        "packing": "none",
        "gradient_checkpointing": False,
        "sharding": "none",
        "adapter": {"name": "none", "reference_dtype": None},
    }
    return build_option("policy", options, world_context(said))


def test_made_on_first_use_and_taken_from_the_cache_after() -> None:
    first = build([])
    made = sorted(path.name for path in world_cache().iterdir())
    said: list[str] = []
    again = build(said)
    assert sorted(path.name for path in world_cache().iterdir()) == made
    assert not any("step" in text for text in said)
    pairs = zip(first.module.parameters(), again.module.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_it_reads_and_writes_the_words_of_the_grammar() -> None:
    policy = build([])
    prompts = policy.encode(["review : the red lamp ."], [0])
    assert policy.decode(prompts, prompts.ids, prompts.mask) == ("review : the red lamp .",)
    _, mask = policy.generate(prompts, 8, seeds=[0])
    assert 1 <= int(mask.sum()) <= 8
