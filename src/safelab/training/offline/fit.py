"""What an offline run must be and must not be told: all that its loop would pass over in silence is refused."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from safelab.plugins import find

CONTROLLER_PARTS = {"penalty": "none", "momentum": "none", "gate": "none", "threshold": "fixed", "phase": "none",
                    "preview": "none", "coefficient": "fixed",
                    "reference": "frozen"}  # fmt: skip
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
    rules = (_unheard(config, preference), _optimizer(config["optimizer"], preference), _sorted(config, preference))
    return [*chain(*rules), *_pairs(config)]


def _unheard(config: Mapping[str, Any], preference: str) -> Iterator[str]:
    """Groups that change an online run and would change nothing here."""
    controller, shaping, critic = config["controller"], config["shaping"], config["critic"]["name"]
    if critic != "none":
        yield f"critic must be none with preference={preference}, which reads no values, got {critic}"
    if busy := busy_controller(controller):
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


def busy_controller(controller: Mapping[str, Any]) -> str:
    """The parts of a controller that do something; empty for ``controller=none``."""
    named = {part: controller.get(part, {}).get("name", idle) for part, idle in CONTROLLER_PARTS.items()}
    return ", ".join(f"{part}={name}" for part, name in named.items() if name != CONTROLLER_PARTS[part])


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
    if coef := optimizer.get("gradient_penalty", {}).get("coef"):
        yield f"optimizer.gradient_penalty.coef must be 0 with preference={preference}, got {coef}: it is online only"
    if optimizer.get("micro_batch_size") == 1:
        yield f"optimizer.micro_batch_size must be >= 2 with preference={preference}, got 1: a pair is two sequences"


def _sorted(config: Mapping[str, Any], preference: str) -> Iterator[str]:
    """What a loss needs that sorts the pairs before the first update."""
    if not getattr(find("preference", preference), "sorts", False):
        return
    if config["evaluator"]["name"] == "none":
        yield (
            f"evaluator must be one of its options with preference={preference}, whose gold set it labels, got none: "
            "add evaluator=gold_reviews (the embedded world's) or evaluator=reward"
        )
    if config["policy"].get("sharding", "none") != "none":
        yield (
            f"policy.sharding must be none with preference={preference}, which takes gradients of one pair at a time, "
            f"got {config['policy']['sharding']}"
        )


def _pairs(config: Mapping[str, Any]) -> Iterator[str]:
    pairs, data = config["pairs"], config["data"]
    data = data["of"] if data["name"] == "perturbed" else data
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
