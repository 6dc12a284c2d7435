"""What a gradient penalty and a moving reference cannot be had with. Asked of the configuration, before it is built."""

from collections.abc import Mapping
from typing import Any

from safelab.plugins import find


def held_misfits(config: Mapping[str, Any]) -> list[str]:
    """One line for each thing that does not fit."""
    return [*_gradient_penalty(config), *_moving(config)]


def _gradient_penalty(config: Mapping[str, Any]) -> list[str]:
    coef, dtype = config["optimizer"].get("gradient_penalty", {}).get("coef"), config["policy"].get("dtype")
    if not coef or dtype != "bfloat16":
        return []
    return [
        f"policy.dtype must be float32 with optimizer.gradient_penalty.coef={coef}, got bfloat16: two gradients that "
        "are a small step apart differ by less than its rounding; or set optimizer.gradient_penalty.coef=0"
    ]


def _moving(config: Mapping[str, Any]) -> list[str]:
    """What a second reference, a copy of the policy that follows it, cannot be had with."""
    controller, policy, objective = config["controller"], config["policy"], config["objective"]["name"]
    if controller.get("reference", {}).get("name", "frozen") == "frozen":
        return []
    adapter = policy.get("adapter", {}).get("name")
    refused: dict[str, tuple[Any, set[Any], str, str]] = {
        "policy/adapter": (adapter, {"lora", "adaptive_lora"}, "none", "its reference is the policy itself"),
        "policy.sharding": (policy.get("sharding"), {"layers"}, "none", "the copy is whole"),
        "policy.compile": (policy.get("compile"), {True}, "false", "compiled layers cannot be copied"),
        "policy.dtype": (policy.get("dtype"), {"bfloat16"}, "float32", "its small moves would be lost in rounding"),
    }
    lines = [
        f"{key} must be {must} with controller/reference=moving, got {'true' if found is True else found}: {reason}"
        for key, (found, those, must, reason) in refused.items()
        if found in those
    ]
    idle = all(controller.get(part, {}).get("name") == "none" for part in ("penalty", "momentum"))
    if idle and "reference" not in find("objective", objective).needs:
        lines += [
            f"controller/reference must be frozen without a KL penalty with objective={objective}, which reads no "
            "reference, got moving: nothing would be held to it"
        ]
    return lines
