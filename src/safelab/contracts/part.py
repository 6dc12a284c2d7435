"""What every part is: a class whose fields are its options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from safelab.contracts.columns import Reading
from safelab.contracts.models import Policy
from safelab.contracts.reward import Reward
from safelab.options import Options
from safelab.ranks import Ranks

Need = Literal[
    "values_per_sequence", "values_per_token", "no_values", "groups", "greedy", "raw_reward", "unread_reward",
    "logit_gradient", "token_ratio", "sequence_advantage",
    "rollout_logp", "old_logp", "reference", "full_logits", "whole_minibatch", "whole_groups", "groups_together",
    "sequence_mean", "unread_advantage",
    "sampled_logit", "anchor_logits", "moved_ratio", "old_anchor", "own_loss", "pushes_down",
]  # fmt: skip
"""What a part may need of the rest of the run. It says so in ``needs``; a run that cannot give it is refused.

Read by an advantage:

- ``values_per_sequence``, ``values_per_token``: the critic gives one value per response, or one per token.
- ``no_values``: there is no critic, because this advantage would not read its values.
- ``groups``: each prompt gets several responses.
- ``greedy``: the policy also writes its likeliest response to each prompt, and the reward scores it.
- ``raw_reward``: the shaping leaves rewards as they are, because they are compared with rewards that it never sees.
- ``unread_reward``: the shaping leaves rewards as they are, because this advantage reads none and a shaping that
  changes them would have no effect.
- ``logit_gradient``: the squared norm of each sampled token's gradient in the logits, before this update.
- ``token_ratio``: the objective takes each token's own ratio, and not one of the whole response.

Read by an objective:

- ``rollout_logp``, ``old_logp``: the log-probabilities of the tokens under the policy that sampled them, and under the
  policy before this update.
- ``reference``: the log-probabilities of the tokens under the reference.
- ``full_logits``: the distributions over the whole vocabulary, now and before this update.
- ``anchor_logits``: the distributions of the policy that ``anchor`` names. Only those before this update are kept, so
  that ``anchor: rollout`` asks for fresh rollouts, written by the policy itself.
- ``sampled_logit``: the logit of each sampled token as the head gives it, not normalised.
- ``sequence_advantage``: the advantage gives all tokens of a response the same number.
- ``whole_minibatch``: a minibatch goes through the model in one piece.
- ``whole_groups``: a batch is one minibatch, in one piece, so that the responses to a prompt stay together.
- ``groups_together``: a batch is one minibatch, and the responses to a prompt are in one piece of it, on one rank.
- ``sequence_mean``: the aggregation is ``sequence_mean``.
- ``unread_advantage``: neither the shaping changes rewards nor does the KL penalty lead into them, because this
  objective reads no advantage and they would have no effect.
- ``moved_ratio``: the last pass over a batch is not at the policy that wrote it, so that ratios differ from 1.

Read by a correction, which may ask for ``sequence_advantage`` too:

- ``old_anchor``: the objective's ratio is not to the sampler, whose probabilities would then count twice.
- ``own_loss``: the objective gives each token a loss that reaches no other response, so that a weight of 0 takes all
  of it out (``Objective.own_loss``).
- ``pushes_down``: the objective gives a response with a negative advantage a loss of its own that makes it less likely,
  so that it can be left out by itself (``Objective.pushes_down``).
"""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a component may know of its surroundings when it is built.

    ``seed`` is the run's; ``cache`` holds what the project makes for itself (the embedded world);
    ``progress(text)`` tells the user what a slow build is doing. ``policy`` and ``reward`` are set once
    these are built, and so is ``reading``: the columns of the data that reward and evaluator read. ``ranks``: the
    processes that train the run together, this one's number among them.
    """

    seed: int
    device: torch.device
    cache: Path
    progress: Callable[[str], None] = field(default=lambda text: None)
    policy: Policy | None = None
    reward: Reward | None = None
    reading: Reading = field(default_factory=Reading)
    ranks: Ranks = field(default_factory=Ranks)


class Part(Options):
    """One option of a group: its fields are the option's parameters, its methods what the group's contract asks for.

    ``name`` is the option's own in the configuration. Values come from the YAML, so a part gives no defaults.
    ``needs``: what it asks of the rest of the run, see ``Need``; asked of an advantage, an objective and a
    correction.
    ``holds``: which of its keys are options of another group, as ``{"of": "reward"}``. They are checked with it.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    holds: ClassVar[Mapping[str, str]] = {}

    name: str

    def build(self, context: Context) -> Any:
        """What the run uses: the part itself, unless it has to make something first (a model, an open file).

        Args:
            context: seed, device, cache, and the policy once that is there.
        """
        return self
