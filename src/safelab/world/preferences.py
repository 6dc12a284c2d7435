"""Preferences between the policy's own responses, by the gold score, with some labels turned round.

The reward model of a run seed learns from them, and so does whoever learns from pairs without one: the same pairs.
Ref: label noise as Gao et al. 2022, arXiv 2210.10760, section 2.
"""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from safelab.errors import lines_of
from safelab.maths.seeds import derive_seed
from safelab.world.language_model import Sampled, sample_responses
from safelab.world.languages import Language, language_of
from safelab.world.options import WorldOptions
from safelab.world.quiet import without_bars
from safelab.world.reproducible import reproducible
from safelab.world.teaching import Progress

FILE = "pairs.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPair:
    """Two responses to one prompt, the better one first, as far as the label is right."""

    chosen: Sampled
    rejected: Sampled


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The pairs of one run seed: ``training`` has noise in its labels, ``held_out`` clean ones.

    Beside them the policy that wrote them, its tokenizer, and the generator as the drawing left it.
    """

    policy: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast
    rng: random.Random
    training: list[LabelledPair]
    held_out: list[LabelledPair]


@contextmanager
def drawn(world: WorldOptions, seed: int, policy_directory: Path, progress: Progress) -> Iterator[Drawn]:
    """Draws the pairs of a run seed, the same for everyone who learns from them.

    Inside the block torch runs on one thread and draws the seed's own random numbers; see ``reproducible``.
    """
    with reproducible(derive_seed(world.seed, "reward_model", seed, "torch")):
        with without_bars():
            policy = LlamaForCausalLM.from_pretrained(policy_directory)
            tokenizer = AutoTokenizer.from_pretrained(policy_directory, trust_remote_code=False)
        rng = random.Random(derive_seed(world.seed, "reward_model", seed))
        training, held_out = draw_preferences(world, policy, tokenizer, rng, progress)
        yield Drawn(policy=policy, tokenizer=tokenizer, rng=rng, training=training, held_out=held_out)


def make_preferences(
    world: WorldOptions, seed: int, policy_directory: Path, directory: Path, progress: Progress
) -> dict[str, float]:
    """Writes the pairs that the reward model of ``seed`` is trained on.

    Returns:
        What was measured: how many pairs, and the share whose label is against the gold score.
    """
    with drawn(world, seed, policy_directory, progress) as preferences:
        training = preferences.training
    wrong = sum(is_wrong(language_of(world), pair) for pair in training)
    lines = [json.dumps(asdict(pair)) + "\n" for pair in training]
    (directory / FILE).write_text("".join(lines), encoding="utf-8")
    return {"pairs": float(len(training)), "wrong_labels": wrong / len(training)}


def load_preferences(directory: Path) -> list[LabelledPair]:
    """What ``make_preferences`` wrote."""
    records = [json.loads(line) for line in lines_of((directory / FILE).read_text(encoding="utf-8"))]
    return [LabelledPair(**{side: Sampled(**sampled) for side, sampled in record.items()}) for record in records]


def draw_preferences(
    world: WorldOptions,
    policy: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random,
    progress: Progress,
) -> tuple[list[LabelledPair], list[LabelledPair]]:
    """Pairs to learn from, with noise in their labels, and held-out pairs with clean ones."""
    options = world.reward_model
    wanted = options.pairs + options.held_out
    progress(f"preferences: sampling {wanted} pairs of responses")
    pairs = sample_preferences(policy, tokenizer, rng, wanted, world)
    training = [turned(pair) if rng.random() < options.label_noise else pair for pair in pairs[: options.pairs]]
    return training, pairs[options.pairs :]


def sample_preferences(
    policy: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rng: random.Random, count: int, world: WorldOptions
) -> list[LabelledPair]:
    """``count`` pairs with the gold score's own labels; two responses that it scores alike are drawn again."""
    language, pairs = language_of(world), list[LabelledPair]()
    while len(pairs) < count:
        prompts = [language.prompt(rng) for _ in range(count - len(pairs))]
        both = sample_responses(policy, tokenizer, [*prompts, *prompts], world.language_model.max_new_tokens)
        labelled = (_labelled(language, *two) for two in zip(both[: len(prompts)], both[len(prompts) :], strict=True))
        pairs += [pair for pair in labelled if pair is not None]
    return pairs


def turned(pair: LabelledPair) -> LabelledPair:
    """The same pair with the opposite label."""
    return replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def is_wrong(language: Language, pair: LabelledPair) -> bool:
    """Whether the gold score prefers the rejected response."""
    chosen, rejected = (language.judge(each.prompt, each.response, each.ended) for each in (pair.chosen, pair.rejected))
    return chosen < rejected


def _labelled(language: Language, first: Sampled, second: Sampled) -> LabelledPair | None:
    gold = [language.judge(each.prompt, each.response, each.ended) for each in (first, second)]
    if gold[0] == gold[1]:
        return None
    better, worse = (first, second) if gold[0] > gold[1] else (second, first)
    return LabelledPair(chosen=better, rejected=worse)
