"""What every part is: a class whose fields are its options."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from safelab.contracts.models import Policy
from safelab.options import Options

Need = Literal[
    "values_per_sequence", "values_per_token", "no_values", "groups", "greedy", "raw_reward", "unread_reward",
    "sequence_advantage",
    "rollout_logp", "old_logp", "reference", "full_logits", "whole_minibatch", "whole_groups", "sequence_mean",
]  # fmt: skip
"""What an option may ask of the others. Its module says so in ``NEEDS``, and a run that lacks it is refused.

``values_*``: what the critic gives. ``groups``: several responses per prompt. ``greedy``: a greedy response per prompt.
``raw_reward``: rewards that no shaping touched; ``unread_reward``: the same, as nothing reads them.
``sequence_advantage``: one advantage per response. ``*_logp``, ``reference``: who scores the tokens. ``full_logits``:
distributions over the whole vocabulary. ``whole_minibatch``: it is not cut for accumulation; ``whole_groups``: nor is
the batch cut into minibatches. ``sequence_mean``: the aggregation that it presumes.
"""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a component may know of its surroundings when it is built.

    ``seed`` is the run's; ``cache`` holds what the project makes for itself (the embedded world);
    ``progress(text)`` tells the user what a slow build is doing. ``policy`` is set once that is built.
    """

    seed: int
    device: torch.device
    cache: Path
    progress: Callable[[str], None] = field(default=lambda text: None)
    policy: Policy | None = None


class Part(Options):
    """One option of a group: its fields are the option's parameters, its methods what the group's contract asks for.

    ``name`` is the option's own in the configuration. Values come from the YAML, so a part gives no defaults.
    """

    name: str

    def build(self, context: Context) -> Any:
        """What the run uses: the part itself, unless it has to make something first (a model, an open file).

        Args:
            context: seed, device, cache, and the policy once that is there.
        """
        return self
