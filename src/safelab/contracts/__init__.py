"""The architecture on one page: what a part is, and what each group of the configuration must offer.

An option is a module ``safelab/parts/<group>/<name>.py`` with one class that derives from ``Part``: its fields are the
option's validated parameters. The object that a run uses is what the part's ``build`` returns, which is the part
itself unless something has to be made first; it offers what its group's class here asks for. A user's own part has
the same form and is named ``package.module:Class``.
"""

from collections.abc import Mapping

from safelab.contracts.adapter import Adapted, Adapter
from safelab.contracts.advantage import AdvantageEstimator, Advantages, Evidence
from safelab.contracts.columns import Reading, given, named_columns, reading_of
from safelab.contracts.controller import (
    Coefficient,
    Controller,
    Empty,
    Forgetful,
    Gate,
    Momentum,
    Penalty,
    Phase,
    Preview,
    Reference,
    Remembering,
    Route,
    Term,
    Threshold,
)
from safelab.contracts.correction import Correction, Weights
from safelab.contracts.critic import Critic
from safelab.contracts.critic import critic_states as critic_states
from safelab.contracts.losses import Aggregation, Anchor, EntropyPositions, Objective, Preference, StatelessObjective
from safelab.contracts.models import CausalModel, Decoding, MovingReference, Policy, Sampler, Tally
from safelab.contracts.part import Context, Need, Part
from safelab.contracts.perturbing import Oracle, Perturbing
from safelab.contracts.reward import Reward
from safelab.contracts.run import GradientPenalty, Guard, Mirror, OptimizerFactory, Optimizers, Remedy, Tracker
from safelab.contracts.scores import Evaluator, Normaliser, Shaped, Shaping, checked_scores
from safelab.contracts.sources import PairSource, PromptSource, asked_of, drawn_columns, drawn_pairs, drawn_prompts
from safelab.contracts.triage import Triage, TriagedPreference

CONTRACT_OF: Mapping[str, type] = {
    "advantage": AdvantageEstimator,
    "aggregation": Aggregation,
    "controller": Controller,
    "controller/coefficient": Coefficient,
    "controller/gate": Gate,
    "controller/momentum": Momentum,
    "controller/penalty": Penalty,
    "controller/phase": Phase,
    "controller/preview": Preview,
    "controller/reference": Reference,
    "controller/route": Route,
    "controller/threshold": Threshold,
    "correction": Correction,
    "critic": Critic,
    "data": PromptSource,
    "evaluator": Evaluator,
    "guard": Guard,
    "objective": Objective,
    "optimizer": OptimizerFactory,
    "pairs": PairSource,
    "policy": Policy,
    "policy/adapter": Adapter,
    "preference": Preference,
    "reward": Reward,
    "rollout": Sampler,
    "shaping": Shaping,
    "shaping/normaliser": Normaliser,
    "tracker": Tracker,
}
"""The class of the object that each group's parts must yield; ``plugins.misfit`` refuses others."""

__all__ = [
    "CONTRACT_OF",
    "Adapted",
    "Adapter",
    "AdvantageEstimator",
    "Advantages",
    "Aggregation",
    "Anchor",
    "CausalModel",
    "Coefficient",
    "Context",
    "Controller",
    "Correction",
    "Critic",
    "Decoding",
    "Empty",
    "EntropyPositions",
    "Evaluator",
    "Evidence",
    "Forgetful",
    "Gate",
    "GradientPenalty",
    "Guard",
    "Mirror",
    "Momentum",
    "MovingReference",
    "Need",
    "Normaliser",
    "Objective",
    "OptimizerFactory",
    "Optimizers",
    "Oracle",
    "PairSource",
    "Part",
    "Penalty",
    "Perturbing",
    "Phase",
    "Policy",
    "Preference",
    "Preview",
    "PromptSource",
    "Reading",
    "Reference",
    "Remedy",
    "Remembering",
    "Reward",
    "Route",
    "Sampler",
    "Shaped",
    "Shaping",
    "StatelessObjective",
    "Tally",
    "Term",
    "Threshold",
    "Tracker",
    "Triage",
    "TriagedPreference",
    "Weights",
    "asked_of",
    "checked_scores",
    "drawn_columns",
    "drawn_pairs",
    "drawn_prompts",
    "given",
    "named_columns",
    "reading_of",
]
