"""What a run without a backward pass must not be told: all that its loop would pass over in silence is refused."""

from collections.abc import Iterator, Mapping
from typing import Any

from safelab.contracts import Perturbing
from safelab.plugins import find
from safelab.training.offline.fit import busy_controller, changes_of


def is_zeroth(config: Mapping[str, Any]) -> bool:
    """Whether the optimiser estimates its gradient from votes."""
    return issubclass(find("optimizer", config["optimizer"]["name"]), Perturbing)


def zeroth_misfits(config: Mapping[str, Any]) -> list[str]:
    """One line for each thing that does not fit a run whose gradient is estimated from votes."""
    return [*_unheard(config), *_oracle(config)]


def _unheard(config: Mapping[str, Any]) -> Iterator[str]:
    """Groups and keys that change a run by a loss and would change nothing here."""
    name = config["optimizer"]["name"]
    told: dict[str, tuple[Any, Any, str]] = {
        "preference": (config["preference"]["name"], "none", "learns from no pairs"),
        "pairs": (config["pairs"]["name"], "none", "learns from no pairs"),
        "critic": (config["critic"]["name"], "none", "reads no values"),
        "controller": (busy_controller(config["controller"]), "", "has no loss that a KL penalty could enter"),
        "shaping": (", ".join(changes_of(config["shaping"])), "", "compares raw scores"),
        "rollout.dynamic_sampling": (config["rollout"].get("dynamic_sampling", 0), 0, "compares no group's rewards"),
        "rollout.staleness": (config["rollout"].get("staleness", 0), 0, "perturbs the policy that it moves"),
        "correction": (config["correction"]["name"], "none", "weights no token"),
        "objective.entropy_coef": (config["objective"].get("entropy_coef", 0), 0, "has no such term"),
        "ranks": (config["ranks"], 1, "writes and votes in one process"),
    }
    for key, (found, idle, why) in told.items():
        if found != idle:
            yield f"{key} must be {idle if idle != '' else 'none'} with optimizer={name}, which {why}, got {found}"


def _oracle(config: Mapping[str, Any]) -> Iterator[str]:
    optimizer, size = config["optimizer"], config["rollout"].get("batch_size")
    if optimizer["oracle"]["of"] == "gold" and config["evaluator"]["name"] == "none":
        yield (
            "evaluator must be one of its options with optimizer.oracle.of=gold, got none: name one, or add "
            "optimizer.oracle.of=reward"
        )
    if isinstance(size, int) and optimizer["perturbations"] > size:
        yield (
            f"optimizer.perturbations must be at most rollout.batch_size, {size}, as each has a share of the prompts, "
            f"got {optimizer['perturbations']}"
        )
