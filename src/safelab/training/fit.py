"""Which parts cannot work together: asked of the configuration, before anything is built."""

from collections.abc import Mapping
from typing import Any

from safelab.plugins import find


def misfits(config: Mapping[str, Any]) -> list[str]:
    """One line for each pair of parts that do not fit; each part is sound by itself."""
    return [*_critic_and_advantage(config), *_batch_and_minibatches(config), *_rollback(config)]


def _critic_and_advantage(config: Mapping[str, Any]) -> list[str]:
    name, read_at = config["advantage"]["name"], config["critic"].get("read_at")
    needs = getattr(find("advantage", name), "NEEDS_GRAIN", None)
    if needs is None or read_at is None or (needs == "token") == (read_at == "per_token"):
        return []
    fitting = "per_token" if needs == "token" else "prompt_end or response_end"
    return [f"critic.read_at must be {fitting} with advantage={name}, which reads a value per {needs}, got {read_at!r}"]


def _batch_and_minibatches(config: Mapping[str, Any]) -> list[str]:
    size, pieces = config["rollout"].get("batch_size"), config["optimizer"].get("minibatches")
    if isinstance(size, int) and isinstance(pieces, int) and pieces > size:
        return [f"optimizer.minibatches must be at most rollout.batch_size, got {pieces} for {size} responses"]
    return []


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
