"""How often a run's policy prefers the better answer of pairs that it has not learnt from, by log pi - log pi_ref.

.venv/bin/python -m scripts.tools.pair_accuracy RUN FILE.jsonl.gz [--last 512]     the last pairs of a file of HH-RLHF
"""

import argparse
from pathlib import Path

import torch

from safelab.app.config.from_run import config_of, parts_of, weights_of
from safelab.corpus.hh import agreeing, read_dialogues
from safelab.maths.preference import margin
from safelab.maths.shares import wilson
from safelab.training.offline.stages import make_pairs, pair_terms


def main() -> None:
    """Accuracy (a tie counts half) with its 95 % interval, and the mean margin of the log-ratios, in nats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--last", type=int, default=512)
    flags = parser.parse_args()
    parts = parts_of(config_of(flags.run, flags.trust), print)
    parts.policy.restore(weights_of(flags.run))
    pairs = agreeing(read_dialogues(flags.file, "FILE")[-flags.last :], "FILE", print)
    size = parts.pairs.batch_size
    margins = []
    for start in range(0, len(pairs), size):
        batch = make_pairs(parts, pairs[start : start + size])
        with torch.no_grad():
            margins.append(margin(pair_terms(parts, batch, len(batch)).log_ratio))
    found = torch.cat(margins)
    accuracy = float((found.sign().mean() + 1) / 2)
    low, high = wilson(accuracy, len(found))
    print(f"{len(found)} pairs: accuracy {accuracy:.3f} [{low:.3f}, {high:.3f}], mean margin {found.mean():.3f} nats")


if __name__ == "__main__":
    main()
