"""Which parts cannot work together: asked of the configuration, before anything is built."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from safelab.contracts import Need
from safelab.errors import ConfigError
from safelab.plugins import find
from safelab.pretrained.limits import beyond
from safelab.training.held_fit import held_misfits
from safelab.training.needs import need_misfits
from safelab.training.offline.fit import pair_misfits
from safelab.training.placement import placement_misfits
from safelab.training.worlds import world_misfits
from safelab.training.zeroth.fit import is_zeroth, zeroth_misfits

Rules = Sequence[Callable[[Mapping[str, Any]], list[str]]]


def misfits(config: Mapping[str, Any]) -> list[str]:
    """One line for each pair of parts that do not fit; each part is sound by itself."""
    if is_zeroth(config):
        placed = (placement_misfits,) if config["ranks"] == 1 else ()  # else it is refused already
        return [line for rule in (zeroth_misfits, *placed, _rollback, world_misfits) for line in rule(config)]
    if config["preference"]["name"] != "none" or config["pairs"]["name"] != "none":
        rules: Rules = (pair_misfits, placement_misfits, _rollback, world_misfits)
    else:
        rules = (
            need_misfits,
            _batch_and_minibatches,
            _dynamic_sampling,
            placement_misfits,
            held_misfits,
            _rollback,
            world_misfits,
        )
    return [line for rule in rules for line in rule(config)]


def check_length(config: Mapping[str, Any], positions: int | None, whose: str = "policy") -> None:
    """Refuse prompts and responses that are longer together than a model's positions.

    Args:
        config: the run's.
        positions: of the model; None for no limit.
        whose: the group that the model is of.

    Raises:
        ConfigError: with the keys whose numbers are too large.
    """
    for key, prompt, response in _lengths(config):
        if positions is not None and prompt + response > positions:
            left = positions - response
            raise ConfigError(
                f"policy.max_prompt_tokens + {key} must be at most the {whose}'s {positions} positions, got "
                f"{prompt} + {response}; use {f'policy.max_prompt_tokens={left}' if left > 0 else f'a smaller {key}'}"
            )


def length_note(config: Mapping[str, Any], trained_at: int | None, longest: int | None = None) -> str | None:
    """What to tell of prompts and responses that are longer together than the policy was made for; None if nothing.

    Args:
        config: the run's.
        trained_at: of the policy, whose rotary positions go on; None for no limit.
        longest: of its prompts, in tokens; None where only ``policy.max_prompt_tokens`` is known.
    """
    for key, prompt, response in _lengths(config):
        left = (trained_at or 0) - response
        remedy = f"use policy.max_prompt_tokens={left}" if left > 0 else f"use a smaller {key}"
        what = f"policy.max_prompt_tokens + {key}" if longest is None else f"the longest prompt with {key}"
        asked = min(prompt, longest or prompt) + response
        if said := beyond(what, asked, str(config["policy"].get("path")), trained_at, remedy):
            return said
    return None


def _lengths(config: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """The key of each kind of response that the run has, with the longest prompt and the longest such response."""
    prompt = config["policy"].get("max_prompt_tokens")
    for group, name in (("rollout", "max_new_tokens"), ("pairs", "max_response_tokens")):
        response = config[group].get(name)
        if isinstance(prompt, int) and isinstance(response, int):  # a user's own policy or sampler may have neither key
            yield f"{group}.{name}", prompt, response


def built_misfit(needs: Iterable[Need], advantage: str, critic: Any) -> str | None:
    """What an advantage needs of the critic that was built and does not get; a user's own says its grain only now."""
    grains: dict[str, str] = {"values_per_sequence": "sequence", "values_per_token": "token"}
    for need in needs:
        wanted, grain = grains.get(need), getattr(critic, "grain", None)
        if wanted is not None and grain != wanted:
            return (
                f"critic must give one value per {wanted} with advantage={advantage}, got {type(critic).__name__} with "
                f"grain {grain!r}: give it grain {wanted!r}, or choose "
                f"{'advantage=sequence_bandit' if wanted == 'token' else 'advantage=gae'}"
            )
    return None


def _batch_and_minibatches(config: Mapping[str, Any]) -> list[str]:
    size, pieces = config["rollout"].get("batch_size"), config["optimizer"].get("minibatches")
    if isinstance(size, int) and isinstance(pieces, int) and pieces > size:
        return [f"optimizer.minibatches must be at most rollout.batch_size, got {pieces} for {size} responses"]
    return []


def _dynamic_sampling(config: Mapping[str, Any]) -> list[str]:
    """Further rollouts answer to the policy of the moment, and replace groups of several responses."""
    rollout, advantage = config["rollout"], config["advantage"]["name"]
    if not rollout.get("dynamic_sampling"):
        return []
    lines, must = [], f"rollout.dynamic_sampling must be 0, got {rollout['dynamic_sampling']},"
    if rollout["staleness"] > 0:
        lines += [
            f"{must} with rollout.staleness={rollout['staleness']}: further rollouts would be fresh ones; add "
            "rollout.dynamic_sampling=0"
        ]
    if rollout["samples_per_prompt"] < 2:
        lines += [f"{must} with rollout.samples_per_prompt=1: one response to a prompt has nothing to be equal to"]
    elif not _compares_groups(config):
        lines += [
            f"{must} with advantage={advantage}, which compares with more than the other responses to a prompt: equal "
            "rewards teach it, too"
        ]
    return lines


def _compares_groups(config: Mapping[str, Any]) -> bool:
    """Whether responses to a prompt whose rewards are equal teach nothing."""
    if config["advantage"].get("baseline") == "group_mean":
        return True
    return any("groups" in find(group, config[group]["name"]).needs for group in ("advantage", "objective"))


def _rollback(config: Mapping[str, Any]) -> list[str]:
    guard, keep = config["guard"], config["checkpoint"]["keep"]
    if guard["name"] != "rollback":
        return []
    lines = []
    if keep < 2:
        lines += [f"checkpoint.keep must be at least 2 with guard=rollback, which goes back behind a row, got {keep}"]
    if guard["kl_coef_factor"] != 1.0 and config["controller"].get("penalty", {}).get("name") == "none":
        factor = guard["kl_coef_factor"]
        lines += [f"guard.kl_coef_factor must be 1 with controller=none, which has no penalty, got {factor}"]
    return lines
