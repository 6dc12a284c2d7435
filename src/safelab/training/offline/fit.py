"""What an offline run must be and must not be told: all that its loop would pass over in silence is refused."""

from collections.abc import Iterator, Mapping
from typing import Any

CONTROLLER_PARTS = {"penalty": "none", "momentum": "none", "gate": "none", "threshold": "fixed", "phase": "none",
                    "preview": "none", "coefficient": "fixed"}  # fmt: skip
"""``controller=none``, part by part."""

SAME_FILE = ("path", "subset", "split", "limit")


def pair_misfits(config: Mapping[str, Any]) -> list[str]:
    """One line for each thing that does not fit a run with pairs, or with a loss on them."""
    pairs, preference = config["pairs"]["name"], config["preference"]["name"]
    if pairs == "none":
        return [
            f"pairs must be one of its options with preference={preference}, which learns from pairs, got none: "
            "add pairs=world (or hh_rlhf, jsonl)"
        ]
    if preference == "none":
        return [
            f"preference must be one of its options with pairs={pairs}, from which nothing else learns, got none: "
            "add preference=dpo (or ipo, chi_po, var), or take algorithm=dpo"
        ]
    return [*_unheard(config, preference), *_optimizer(config["optimizer"], preference), *_pairs(config)]


def _unheard(config: Mapping[str, Any], preference: str) -> Iterator[str]:
    """Groups that change an online run and would change nothing here."""
    controller, shaping, critic = config["controller"], config["shaping"], config["critic"]["name"]
    if critic != "none":
        yield f"critic must be none with preference={preference}, which reads no values, got {critic}"
    named = {part: controller.get(part, {}).get("name", idle) for part, idle in CONTROLLER_PARTS.items()}
    busy = ", ".join(f"{part}={name}" for part, name in named.items() if name != CONTROLLER_PARTS[part])
    if busy:
        yield (
            f"controller must be none with preference={preference}, whose own beta holds the policy near its "
            f"reference, got {busy}"
        )
    if touched := changes_of(shaping):
        yield (
            f"shaping must be none with preference={preference}, which sees raw rewards or none, "
            f"got one with {', '.join(touched)}"
        )
    if config["rollout"].get("staleness"):
        yield (
            f"rollout.staleness must be 0 with preference={preference}, which learns from no rollout, "
            f"got {config['rollout']['staleness']}"
        )
    if config["rollout"].get("dynamic_sampling"):
        yield (
            f"rollout.dynamic_sampling must be 0 with preference={preference}, which learns from no rollout, "
            f"got {config['rollout']['dynamic_sampling']}"
        )
    if (correction := config["correction"]["name"]) != "none":
        yield f"correction must be none with preference={preference}, which learns from no rollout, got {correction}"
    if config["objective"].get("entropy_coef"):
        yield (
            f"objective.entropy_coef must be 0 with preference={preference}, which has no such term, "
            f"got {config['objective']['entropy_coef']}"
        )


def changes_of(shaping: Mapping[str, Any]) -> list[str]:
    """The keys by which a shaping changes rewards; none where it leaves them as they are."""
    touched = [key for key in ("missing_end_penalty", "repetition_penalty", "clip") if shaping.get(key)]
    touched += ["missing_end_reward"] if shaping.get("missing_end_reward") is not None else []
    named = shaping.get("normaliser", {}).get("name", "none")
    return touched if named == "none" else [*touched, "normaliser"]


def _optimizer(optimizer: Mapping[str, Any], preference: str) -> Iterator[str]:
    for key in ("epochs", "minibatches"):
        if optimizer.get(key, 1) != 1:
            yield (
                f"optimizer.{key} must be 1 with preference={preference}, got {optimizer[key]}: an update is one step "
                "on one batch of pairs; set pairs.batch_size and updates"
            )
    if optimizer.get("target_kl") is not None:
        yield f"optimizer.target_kl must be null with preference={preference}, got {optimizer['target_kl']}"
    if optimizer.get("micro_batch_size") == 1:
        yield f"optimizer.micro_batch_size must be >= 2 with preference={preference}, got 1: a pair is two sequences"


def _pairs(config: Mapping[str, Any]) -> Iterator[str]:
    pairs, data = config["pairs"], config["data"]
    if pairs.get("evaluate_every", 1) != 1 and (guard := config["guard"]["name"]) in ("stop", "rollback"):
        yield (
            f"pairs.evaluate_every must be 1 with guard={guard}, which reads every row's reward and KL, "
            f"got {pairs['evaluate_every']}"
        )
    same = pairs["name"] == data["name"] == "hh_rlhf" and all(pairs[key] == data[key] for key in SAME_FILE)
    if same and pairs["held_out"] < data["held_out"]:
        yield (
            f"pairs.held_out must be at least data.held_out of the same file, got {pairs['held_out']} and "
            f"{data['held_out']}: prompts that are held out would be learnt from"
        )
