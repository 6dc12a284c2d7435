"""What a policy of the user's own must tell of its tokens: asked of its models once they are built."""

from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

from safelab.contracts import CausalModel, Need, Policy
from safelab.errors import ConfigError
from safelab.plugins import find

TOLD: frozenset[Need] = frozenset({"sampled_logit", "logit_gradient"})
"""Needs that are methods of a model by the same name, which a user's own may lack."""


def check_models(policy: Policy, needs: Mapping[Need, str]) -> None:
    """Refuse a user's own policy whose models do not tell what the run needs of them.

    It may have been written when ``token_stats`` was not told which tokens are read.

    Args:
        policy: as built.
        needs: of the run's parts, with the part that asks for each.

    Raises:
        ConfigError: with the signature that is asked for.
    """
    for need in sorted(needs.keys() & TOLD):
        own, unwritten = getattr(policy.model, need, None), getattr(CausalModel, need)
        if own is None or getattr(own, "__func__", own) is unwritten:
            raise ConfigError(
                f"policy must give a model with the method {need}, which {needs[need]} needs, got "
                f"{type(policy.model).__name__} without: write {need}({', '.join(signature(unwritten).parameters)}) as "
                "safelab.contracts.CausalModel has it"
            )
    for model in (policy.model, policy.reference):
        known = signature(model.token_stats).parameters
        if "mask" not in known and all(each.kind is not Parameter.VAR_KEYWORD for each in known.values()):
            raise ConfigError(
                f"policy must give models whose token_stats takes a mask, got {type(model).__name__}, whose takes "
                f"{', '.join(known)}: write token_stats(self, hidden, ids, reference=None, mask=None) as "
                "safelab.contracts.CausalModel has it; a model may leave the mask unread"
            )


def needs_of(config: Mapping[str, Any]) -> dict[Need, str]:
    """What the parts that read a rollout need, with the part that asks for it; an offline run has none of them."""
    if config["preference"]["name"] != "none":
        return {}
    parts = {group: config[group]["name"] for group in ("advantage", "objective")}
    return {need: f"{group}={name}" for group, name in parts.items() for need in find(group, name).needs}
