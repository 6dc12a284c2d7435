"""Preference pairs in the format of HH-RLHF over the tiny model's words: the better answer says ``good``."""

import gzip
import json
import random
from pathlib import Path

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
