"""Which parts cannot work together: asked of the configuration, before anything is built."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

from safelab.contracts import Need, Policy
from safelab.errors import ConfigError
from safelab.plugins import find
from safelab.pretrained.limits import beyond
from safelab.training.offline.fit import changes_of, pair_misfits
from safelab.training.placement import placement_misfits
from safelab.training.worlds import world_misfits

Rules = Sequence[Callable[[Mapping[str, Any]], list[str]]]


def misfits(config: Mapping[str, Any]) -> list[str]:
    """One line for each pair of parts that do not fit; each part is sound by itself."""
    if config["preference"]["name"] != "none" or config["pairs"]["name"] != "none":
        rules: Rules = (pair_misfits, placement_misfits, _rollback, world_misfits)
    else:
        rules = (
            _needs,
            _batch_and_minibatches,
            _dynamic_sampling,
            placement_misfits,
            _correction,
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


def check_models(policy: Policy) -> None:
    """Refuse a user's own policy whose models were written when ``token_stats`` was not told which tokens are read.

    Raises:
        ConfigError: with the signature that is asked for.
    """
    for model in (policy.model, policy.reference):
        known = signature(model.token_stats).parameters
        if "mask" not in known and all(each.kind is not Parameter.VAR_KEYWORD for each in known.values()):
            raise ConfigError(
                f"policy must give models whose token_stats takes a mask, got {type(model).__name__}, whose takes "
                f"{', '.join(known)}: write token_stats(self, hidden, ids, reference=None, mask=None) as "
                "safelab.contracts.CausalModel has it; a model may leave the mask unread"
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


def _needs(config: Mapping[str, Any]) -> list[str]:
    """What advantage and objective need of the other parts and do not get: a line each, whoever asks for it."""
    asking: dict[str, list[str]] = {}
    for said, part in (*_lacking(config), *_group_mean_of_one(config)):
        asking.setdefault(said, []).append(part)
    return [f"{said} with {' and '.join(parts)}" for said, parts in asking.items()]


def _lacking(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is lacking by the ``needs`` of a class, and the part that needs it."""
    for group in ("advantage", "objective"):
        name = config[group]["name"]
        for need in sorted(find(group, name).needs):
            if said := PROVIDED[need](config):
                yield said, f"{group}={name}"


def _values(grain: str) -> Callable[[Mapping[str, Any]], str | None]:
    fitting = "per_token" if grain == "token" else "prompt_end or response_end"

    def lacking(config: Mapping[str, Any]) -> str | None:
        critic = config["critic"]
        if critic["name"] == "none":
            return f"critic must give a value per {grain}, got none: choose critic=single"
        # An option that reads in one place only says so on its class; a user's own may leave it unsaid.
        own = getattr(find("critic", critic["name"]), "grain", None)
        if own in ("sequence", "token") and own != grain:
            return f"critic must give a value per {grain}, got {critic['name']}, which gives one per {own}"
        read_at = critic.get("read_at")
        if read_at is None or (read_at == "per_token") == (grain == "token"):
            return None  # a user's own critic answers for itself
        return f"critic.read_at must be {fitting}, got {read_at!r}: one value per {grain} is needed"

    return lacking


def _no_values(config: Mapping[str, Any]) -> str | None:
    name = config["critic"]["name"]
    return None if name == "none" else f"critic must be none, got {name!r}: its values would be trained and never read"


def _groups(config: Mapping[str, Any]) -> str | None:
    count = config["rollout"].get("samples_per_prompt", 1)
    if count >= 2:
        return None
    return f"rollout.samples_per_prompt must be at least 2, got {count}: responses to one prompt are compared"


def _unshaped(reason: str) -> Callable[[Mapping[str, Any]], str | None]:
    def lacking(config: Mapping[str, Any]) -> str | None:
        if not changes_of(config["shaping"]):
            return None
        return f"shaping must be none, got one that changes rewards: {reason}"

    return lacking


def _whole_minibatch(config: Mapping[str, Any]) -> str | None:
    rows = -(-config["rollout"]["batch_size"] // config["optimizer"]["minibatches"])
    size, tokens = config["optimizer"]["micro_batch_size"], config["optimizer"]["micro_batch_tokens"]
    if tokens is not None:
        return f"optimizer.micro_batch_tokens must be null, got {tokens}: the loss is no sum over pieces"
    if size is None or size >= rows:
        return None
    return (
        f"optimizer.micro_batch_size must be null or at least the minibatch's {rows} responses, got {size}: "
        "the loss is no sum over pieces"
    )


def _whole_groups(config: Mapping[str, Any]) -> str | None:
    pieces = config["optimizer"]["minibatches"]
    if pieces != 1:
        return f"optimizer.minibatches must be 1, got {pieces}: responses to one prompt must stay together"
    return _whole_minibatch(config)


def _groups_together(config: Mapping[str, Any]) -> str | None:
    pieces, size = config["optimizer"]["minibatches"], config["optimizer"]["micro_batch_size"]
    group = config["rollout"].get("samples_per_prompt", 1)
    if pieces != 1:
        return f"optimizer.minibatches must be 1, got {pieces}: responses to one prompt must stay together"
    if size is not None and size < group:
        return (
            f"optimizer.micro_batch_size must be null or at least rollout.samples_per_prompt, {group}, got {size}: "
            "responses to one prompt must stay together"
        )
    return None


def _sequence_mean(config: Mapping[str, Any]) -> str | None:
    name = config["aggregation"]["name"]
    if name == "sequence_mean":
        return None
    return f"aggregation must be sequence_mean, got {name!r}: the loss is one number per response"


def _moved_ratio(config: Mapping[str, Any]) -> str | None:
    optimizer = config["optimizer"]
    stale = config["rollout"].get("staleness", 0) > 0 and config["objective"].get("anchor") == "rollout"
    if optimizer["epochs"] > 1 or optimizer["minibatches"] > 1 or stale:
        return None
    return (
        "optimizer.epochs must be at least 2, got 1 with one minibatch: every ratio is 1 in the only pass, "
        "which leaves nothing to hold,"
    )


def _sequence_advantage(config: Mapping[str, Any]) -> str | None:
    name = config["advantage"]["name"]
    if getattr(find("advantage", name), "grain", "sequence") == "sequence":  # a user's own may leave it unsaid
        return None
    return f"advantage must give one number per response, got {name!r}: choose group_norm, leave_one_out or the like"


def _always(config: Mapping[str, Any]) -> None:
    """Every run has it: the scoring pass and the policy group's readers provide it."""


PROVIDED: dict[Need, Callable[[Mapping[str, Any]], str | None]] = {
    "values_per_sequence": _values("sequence"),
    "values_per_token": _values("token"),
    "no_values": _no_values,
    "groups": _groups,
    "greedy": _always,
    "raw_reward": _unshaped("the greedy response's reward is not shaped"),
    "unread_reward": _unshaped("nothing reads them"),
    "sequence_advantage": _sequence_advantage,
    "rollout_logp": _always,
    "old_logp": _always,
    "reference": _always,
    "full_logits": _always,
    "sampled_logit": _always,
    "whole_minibatch": _whole_minibatch,
    "whole_groups": _whole_groups,
    "groups_together": _groups_together,
    "sequence_mean": _sequence_mean,
    "moved_ratio": _moved_ratio,
}
"""For each need: what the configuration lacks, or None."""


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
        lines += [f"{must} with rollout.staleness={rollout['staleness']}: further rollouts would be fresh ones"]
    if rollout["samples_per_prompt"] < 2:
        lines += [f"{must} with rollout.samples_per_prompt=1: one response to a prompt has nothing to be equal to"]
    if "greedy" in find("advantage", advantage).needs:
        lines += [
            f"{must} with advantage={advantage}, which compares with a greedy response: equal rewards teach it, too"
        ]
    return lines


def _correction(config: Mapping[str, Any]) -> list[str]:
    name = config["correction"]["name"]
    if name == "none" or config["objective"].get("anchor") != "rollout":
        return []
    return [
        f"correction must be none with objective.anchor=rollout, whose ratio to the sampler is the correction, got "
        f"{name}: the sampler's probabilities would count twice; add objective.anchor=old"
    ]


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


def _group_mean_of_one(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if config["advantage"].get("baseline") == "group_mean" and (said := _groups(config)):
        yield said, "advantage.baseline=group_mean"
