"""What a part needs of the rest of the run (``contracts.Need``), and whether the configuration gives it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from safelab.contracts import Need
from safelab.plugins import find
from safelab.training.offline.fit import changes_of


def need_misfits(config: Mapping[str, Any]) -> list[str]:
    """What advantage, objective and correction need of the others and do not get: a line each, whoever asks for it."""
    asking: dict[str, list[str]] = {}
    for said, part in (*_lacking(config), *_group_mean_of_one(config)):
        asking.setdefault(said, []).append(part)
    return [f"{said} with {' and '.join(parts)}" for said, parts in asking.items()]


def _lacking(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is lacking by the ``needs`` of a class, and the part that needs it."""
    for group in ("advantage", "objective", "correction"):
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


def _unread_advantage(config: Mapping[str, Any]) -> str | None:
    name = config["controller"].get("route", {}).get("name")
    if name is not None and getattr(find("controller/route", name), "in_reward", False):
        return f"controller/route must lead into the loss, got {name!r}: nothing reads the rewards"
    return _unshaped("nothing reads them")(config)


def _anchor_logits(config: Mapping[str, Any]) -> str | None:
    rollout = config["rollout"]
    stale, engine = rollout.get("staleness", 0) > 0, getattr(find("rollout", rollout["name"]), "gives_logp", False)
    if config["objective"].get("anchor") != "rollout" or not (stale or engine):
        return None
    cause = f"rollout.staleness={rollout['staleness']}" if stale else f"rollout={rollout['name']}"
    return (
        f"objective.anchor must be old with {cause}, got rollout: of the sampler's distributions only the sampled "
        "tokens' probabilities are kept, too little to compare"
    )


def _sequence_advantage(config: Mapping[str, Any]) -> str | None:
    name = config["advantage"]["name"]
    if getattr(find("advantage", name), "grain", "sequence") == "sequence":  # a user's own may leave it unsaid
        return None
    return f"advantage must give one number per response, got {name!r}: choose group_norm, leave_one_out or the like"


def _token_ratio(config: Mapping[str, Any]) -> str | None:
    name = config["objective"]["name"]
    if getattr(find("objective", name), "ratio_grain", "token") == "token":  # a user's own may leave it unsaid
        return None
    return f"objective must take a ratio for each token, got {name!r}, whose ratio is the response's: choose ppo_clip"


def _old_anchor(config: Mapping[str, Any]) -> str | None:
    if config["objective"].get("anchor") != "rollout":
        return None
    return (
        "correction must be none with objective.anchor=rollout, whose ratio to the sampler corrects already: add "
        "objective.anchor=old, or the sampler's probabilities would count twice"
    )


def _own_loss(config: Mapping[str, Any]) -> str | None:
    name = config["objective"]["name"]
    if getattr(find("objective", name), "own_loss", True):
        return None
    return (
        f"objective must give each token a loss that reaches no other response, got {name!r}, whose responses to a "
        "prompt share one: a token of weight 0 would still be moved by the others'"
    )


def _pushes_down(config: Mapping[str, Any]) -> str | None:
    name = config["objective"]["name"]
    if getattr(find("objective", name), "pushes_down", True):
        return None
    return (
        f"objective must make bad responses less likely, each by a loss of its own, got {name!r}: none could be left "
        "out by itself"
    )


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
    "logit_gradient": _always,
    "token_ratio": _token_ratio,
    "sequence_advantage": _sequence_advantage,
    "rollout_logp": _always,
    "old_logp": _always,
    "reference": _always,
    "full_logits": _always,
    "sampled_logit": _always,
    "anchor_logits": _anchor_logits,
    "whole_minibatch": _whole_minibatch,
    "whole_groups": _whole_groups,
    "groups_together": _groups_together,
    "sequence_mean": _sequence_mean,
    "unread_advantage": _unread_advantage,
    "moved_ratio": _moved_ratio,
    "old_anchor": _old_anchor,
    "own_loss": _own_loss,
    "pushes_down": _pushes_down,
}
"""For each need: what the configuration lacks, or None."""


def _group_mean_of_one(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if config["advantage"].get("baseline") == "group_mean" and (said := _groups(config)):
        yield said, "advantage.baseline=group_mean"
