"""A model of the user's own is never trained on the embedded world's prompts, reward or pairs by mere default."""

import shlex
from collections.abc import Iterator, Sequence

from hydra._internal.hydra import Hydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from safelab.errors import ConfigError

OF_THE_WORLD = {"data": "reviews", "reward": "tiny_rm", "pairs": "world"}
"""Group -> its option that belongs to the embedded world, and means nothing to another model."""

INSTEAD = {"data": "data=hh_rlhf", "reward": "reward=armorm", "pairs": "pairs=hh_rlhf"}
"""Group -> what the example in the message says for it."""

EMBEDDED = "tiny"
"""The policy that the embedded world is made for."""


def check_own_model(hydra: Hydra, runs: Sequence[DictConfig], overrides: Sequence[str]) -> None:
    """Refuse a policy of one's own whose data, reward or pairs nobody has named.

    They are named on the command line, in a recipe, a sweep or a file of the user's. An algorithm's preset does not
    count: ``algorithm=dpo`` brings the embedded world's pairs along. ``world=...`` says that the world is meant.

    Args:
        hydra: that composed them.
        runs: the composed configuration of each run, Hydra's node in it.
        overrides: the command line's, for the message.

    Raises:
        ConfigError: once for all runs, with a whole command that names what they lack.
    """
    lacking: dict[str, None] = {}
    policies: dict[str, None] = {}
    missing: dict[str, None] = {}
    for run in runs:
        if groups := unsaid(hydra, run):
            lacking |= dict.fromkeys(groups)
            policies[str(run.hydra.runtime.choices.get("policy"))] = None
            missing |= dict.fromkeys(key for key in sorted(OmegaConf.missing_keys(run)) if key.startswith("policy."))
    if lacking:
        stands = ", ".join(f"{group}={OF_THE_WORLD[group]}" for group in lacking)
        many = ["-m"] if len(runs) > 1 else []
        added = [f"{key}=..." for key in missing] + [INSTEAD[group] for group in lacking]
        command = shlex.join(["safelab", "train", *many, *overrides, *added])
        raise ConfigError(
            f"{', '.join([*missing, *lacking])} must be given with policy={','.join(policies)}, no model of the "
            f"embedded world, got that world's own by default ({stands}): name yours, as in `{command}`, or add "
            "world=small if this model is to learn from the embedded world"
        )


def unsaid(hydra: Hydra, composed: DictConfig) -> list[str]:
    """The groups in which a policy of one's own would get what is the embedded world's, without anyone's word."""
    policy = composed.get("policy")
    if policy is None or policy.get("name") in (None, EMBEDDED):
        return []
    toys = [group for group, name in OF_THE_WORLD.items() if (composed.get(group) or {}).get("name") == name]
    said = {*_said(hydra, composed)} if toys else set()
    return [] if "world" in said else [group for group in toys if group not in said]


def _said(hydra: Hydra, composed: DictConfig) -> Iterator[str]:
    """The groups that a command line or a file other than the packaged defaults and algorithms has chosen."""
    node = composed.hydra
    overrides = [*node.overrides.hydra, *node.overrides.task]
    found = hydra.config_loader.compute_defaults_list(node.job.config_name, overrides, RunMode.RUN)
    for group, about in found.overrides.override_metadata.items():
        if about.external_override or not str(about.containing_config_path).startswith("algorithm/"):
            yield group
    for default in found.defaults:
        group = str(default.config_path).rpartition("/")[0]
        if default.parent not in (None, "config") and not str(default.parent).startswith("algorithm/"):
            yield group
