"""What the processes of a run can share: rows, layers, GPUs. Asked of the configuration, before anything is built."""

from collections.abc import Mapping
from typing import Any

from safelab.plugins import find

MOVED = "a recorded pass knows weights by their place, and they have another at each rollout"


def placement_misfits(config: Mapping[str, Any]) -> list[str]:
    """One line for each thing that several processes, or an engine on GPUs of its own, cannot have."""
    return [*_ranks(config), *_sharding(config), *_engine_devices(config)]


def _ranks(config: Mapping[str, Any]) -> list[str]:
    """What several processes cannot share: each has rows of its own in every minibatch, and sees no others' losses."""
    ranks, size, cut = config["ranks"], config["rollout"].get("batch_size"), config["optimizer"].get("minibatches")
    if ranks == 1:
        return []
    lines = []
    if isinstance(size, int) and isinstance(cut, int) and size // cut < ranks:
        lines += [f"ranks must be at most the {size // cut} responses of the smallest minibatch, got {ranks}"]
    if config["pairs"].get("batch_size", ranks) < ranks:
        lines += [f"ranks must be at most pairs.batch_size, {config['pairs']['batch_size']}, got {ranks}"]
    for group in ("advantage", "objective"):
        if find(group, config[group]["name"]).needs & {"whole_minibatch", "whole_groups"}:
            lines += [
                f"ranks must be 1 with {group}={config[group]['name']}, whose loss is no sum over pieces of a "
                f"minibatch, got {ranks}"
            ]
    return lines + _cut_groups(config)


def _cut_groups(config: Mapping[str, Any]) -> list[str]:
    """Where an objective compares the responses to a prompt, each rank has all of them."""
    ranks, rollout, name = config["ranks"], config["rollout"], config["objective"]["name"]
    prompts = rollout.get("batch_size", 0) // max(1, rollout.get("samples_per_prompt", 1))
    if "groups_together" not in find("objective", name).needs or prompts % ranks == 0:
        return []
    return [
        f"ranks must divide the {prompts} prompts of a rollout (rollout.batch_size / rollout.samples_per_prompt) with "
        f"objective={name}, which compares the responses to each, got {ranks}"
    ]


def _sharding(config: Mapping[str, Any]) -> list[str]:
    """What parts of layers cannot do: all ranks gather each layer together, so that none may make a pass more."""
    if config["policy"].get("sharding", "none") == "none":
        return []
    ranks, policy, rollout, optimizer = (config[key] for key in ("ranks", "policy", "rollout", "optimizer"))
    if ranks == 1:
        return [
            "policy.sharding must be none with ranks=1, where no other process holds a part, got layers: add ranks=2"
        ]
    refused: dict[str, tuple[Any, set[Any], str, str]] = {
        "rollout.decoding": (rollout.get("decoding"), {"captured", "compiled"}, "dynamic or static", MOVED),
        "policy.compile": (policy.get("compile"), {True}, "false", "the two have not been made to work together"),
        "policy/adapter": (
            policy.get("adapter", {}).get("name"),
            {"adaptive_lora"},
            "lora or none",
            "it reads its factors whole to cut them down",
        ),
        "optimizer": (optimizer["name"], {"adamw_8bit"}, "adamw", "parts would cut its blocks of 256 numbers"),
    }
    lines = [
        f"{key} must be {must} with policy.sharding=layers, got {'true' if found is True else found}: {reason}"
        for key, (found, those, must, reason) in refused.items()
        if found in those
    ]
    if (tokens := optimizer.get("micro_batch_tokens")) is not None:
        lines += [
            f"optimizer.micro_batch_tokens must be null with policy.sharding=layers, got {tokens}: ranks would make "
            "unequal numbers of passes; set optimizer.micro_batch_size"
        ]
    if coef := optimizer.get("gradient_penalty", {}).get("coef"):
        lines += [
            f"optimizer.gradient_penalty.coef must be 0 with policy.sharding=layers, got {coef}: the second gradient "
            "is taken at whole weights"
        ]
    return lines + _unequal_passes(config)


def _unequal_passes(config: Mapping[str, Any]) -> list[str]:
    """Micro-batches of a rollout, of each minibatch and of pairs, where one rank has a row more than another."""
    optimizer, ranks, whole = config["optimizer"], config["ranks"], []
    size, cut = optimizer.get("micro_batch_size"), optimizer.get("minibatches", 1)
    if not isinstance(size, int):
        return []
    if isinstance(batch := config["rollout"].get("batch_size"), int):
        whole += [("responses", rows, size) for rows in (batch, -(-batch // cut), batch // cut)]
    if isinstance(pairs := config["pairs"].get("batch_size"), int):
        whole += [("pairs", pairs, max(1, size // 2))]
    for what, rows, most in whole:
        few, many = rows // ranks, -(-rows // ranks)
        if -(-few // most) != -(-many // most):
            return [
                f"optimizer.micro_batch_size must cut {few} and {many} {what}, the ranks' of {rows}, into equally many "
                f"pieces with policy.sharding=layers, got {size}: use null, or a number that leaves ranks={ranks} alike"
            ]
    return []


def _engine_devices(config: Mapping[str, Any]) -> list[str]:
    """An engine's GPUs beside the trainer's, as the configuration tells; which are there is asked at the start."""
    devices, ranks, device = config["rollout"].get("devices"), config["ranks"], config["device"]
    if not devices:
        return []
    if device in ("cpu", "mps"):
        return [f"rollout.devices must be null with device={device}, got {devices}: its engine gets weights from a GPU"]
    own = range(ranks) if ranks > 1 else [int(device.partition(":")[2] or 0)]
    lines = []
    if shared := sorted(set(devices) & set(own)):
        lines += [
            f"rollout.devices must not hold the trainer's own GPU, got {devices} with the trainer on "
            f"{', '.join(map(str, shared))}: name others, or null to share that GPU"
        ]
    if len(devices) % ranks:
        lines += [f"rollout.devices must be as many GPUs for each of ranks={ranks}, got {devices}"]
    return lines
