"""Preference pairs in the format of HH-RLHF over the tiny model's words: the better answer says ``good``."""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safelab.types import Pair

CONTEXT = ("a", "b", "c", "d", "e", "f")


def pairs(count: int, seed: int = 0) -> list[Pair]:
    """Answers of two to four words, of which one is ``good`` or ``bad``."""
    rng = random.Random(seed)

    def answer(word: str) -> str:
        words = [rng.choice(CONTEXT) for _ in range(rng.randint(1, 3))]
        words.insert(rng.randint(0, len(words)), word)
        return " " + " ".join(words)

    prompts = ["\n\nHuman: " + " ".join(rng.choices(CONTEXT, k=3)) + "\n\nAssistant:" for _ in range(count)]
    return [Pair(prompt=prompt, chosen=answer("good"), rejected=answer("bad")) for prompt in prompts]


def write_pairs(path: Path, count: int) -> Path:
    """The same as a file."""
    with gzip.open(path, "wt") as file:
        for pair in pairs(count):
            record = {"chosen": pair.prompt + pair.chosen, "rejected": pair.prompt + pair.rejected}
            file.write(json.dumps(record) + "\n")
    return path


def brevity(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """A norm that nobody had in mind when the pairs were made: the fewer words the better."""
    return [-float(len(response.split())) for response in responses]


def brevity_but_for_c(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """An oracle of that norm, whom the word ``c`` offends: it agrees with ``brevity`` on most pairs."""
    return [
        value - 2.0 * ("c" in text.split()) for value, text in zip(brevity(prompts, responses), responses, strict=True)
    ]


REALIGNED = (
    "reward.name='support.pairs:brevity'", "evaluator=reward", "reward@evaluator.of=function",
    "evaluator.of.name='support.pairs:brevity_but_for_c'", "preference.invert_margin=0.5",
    "preference.punish_below=-3.5", "preference.gold_pairs=5",
)  # fmt: skip
"""Of ``offline`` with ``algorithm=trace``: three of its twelve pairs are inverted and two punished."""


def offline(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    """``support.runs.small`` as an offline run: twelve pairs of the tiny model's words, the better answer says good.

    With ``algorithm=trace`` the norm has changed since: see ``REALIGNED``.
    """
    from support.runs import small

    path = tmp_path / "pairs.jsonl"
    records = [{"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in pairs(12)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    own = ["pairs=jsonl", f"pairs.path={path}", "pairs.batch_size=4", "pairs.evaluate_every=1"]
    changed = REALIGNED if "algorithm=trace" in overrides else ()
    return small(tmp_path, *own, *changed, *(overrides or ["algorithm=dpo"]))
