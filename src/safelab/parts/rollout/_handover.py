"""How the trainer's weights reach vLLM's engine before a rollout: whole, in the GPU's memory, or as a saved adapter.

Read in vLLM's source from 0.29 to 0.32. An adapter can only be given to it as a folder.
"""

import copy
import shutil
import weakref
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import MappingProxyType
from typing import Any, Literal, Protocol

from safelab.contracts import Policy
from safelab.errors import ConfigError
from safelab.pretrained.adapters import base_of
from safelab.pretrained.load import Source

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The bounds on an adapter's rank that vLLM has kernels for."""


class Handover(Protocol):
    """One way to hand weights over.

    ``sleep_level``: how deep the engine may sleep meanwhile; at 2 it forgets its weights, at 1 they wait in the CPU's
    memory. ``environment``: variables that the engine's process has to find. ``settings``: arguments of ``vllm.LLM``,
    the model among them.
    """

    sleep_level: Literal[1, 2]
    environment: Mapping[str, str]
    settings: Mapping[str, Any]

    def send(self, llm: Any) -> None:
        """Bring the engine's own weights up to date; they are awake, its cache need not be."""

    def request(self) -> Any:
        """A context in which responses are written: it gives the ``LoRARequest`` to write them with, or None."""


class WholeWeights:
    """Full fine-tuning: the engine reads the trainer's tensors where they lie on the GPU (CUDA IPC).

    It starts without weights (``dummy``), from the shape alone: whatever is not handed over would show in the first
    update, whose rollout is scored by the trainer as well. So it does not matter either what ``policy.path`` leads to.
    """

    sleep_level: Literal[1, 2] = 2
    # The handles on the trainer's memory come pickled: from this process alone, but vLLM asks to be told that it may.
    environment: Mapping[str, str] = MappingProxyType({"VLLM_ALLOW_INSECURE_SERIALIZATION": "1"})

    def __init__(self, module: Any) -> None:
        folder = mkdtemp(prefix="safelab-shape-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        shape = copy.deepcopy(module.config)
        shape.architectures = [type(module).__name__]  # vLLM chooses its own class by it
        shape.save_pretrained(folder)
        self.settings: Mapping[str, Any] = {
            "model": folder,
            "load_format": "dummy",
            "weight_transfer_config": {"backend": "ipc"},
        }
        self._module = module
        self._sender: Any = None

    def send(self, llm: Any) -> None:
        """Every weight."""
        if self._sender is None:
            from vllm.distributed.weight_transfer import ModuleSource, WeightTransferTrainerFactory
            from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo

            self._sender = WeightTransferTrainerFactory.trainer_init(
                IPCTrainerInitInfo(rank=0), client=Receiver(llm), source=ModuleSource(self._module)
            )
        self._sender.send_weights()

    @contextmanager
    def request(self) -> Iterator[None]:
        """The engine's own weights write."""
        yield None


class Receiver:
    """What vLLM's sender asks of an engine (``VLLMWeightSyncClient``), by the methods of ``vllm.LLM``."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Once, before the first transfer."""
        self._llm.init_weight_transfer_engine({"init_info": init_info})

    def start_weight_update(self) -> None:
        """Before the weights."""
        self._llm.start_weight_update()

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """The weights, as handles on the trainer's memory, written as one writes to a process of one's own."""
        handles = b64encode(ForkingPickler.dumps(update_info["ipc_handles"])).decode("ascii")
        plain = {name: value for name, value in update_info.items() if name != "ipc_handles"}
        self._llm.update_weights({"update_info": {**plain, "ipc_handles_pickled": handles}})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """After the weights."""
        self._llm.finish_weight_update(weight_version)


class AdapterFolder:
    """LoRA: the engine loads the base model by itself, and the adapter anew from a folder for each rollout."""

    sleep_level: Literal[1, 2] = 1  # the base has to survive, as nobody hands it over
    environment: Mapping[str, str] = MappingProxyType({})

    def __init__(self, policy: Policy, adapter: Any) -> None:
        base = adapter.base_model_name_or_path
        if base_of(Source("policy.path", base, "of whole weights", "give one")) is not None:
            raise ConfigError(
                f"policy.path must be whole weights with rollout=vllm and LoRA, as vLLM loads them by itself, got "
                f"{base!r}, an adapter: use rollout=hf, or merge it (merge_and_unload), save that, and give its folder"
            )
        if adapter.r > RANKS[-1]:
            raise ConfigError(f"policy.adapter.rank must be <= {RANKS[-1]} with rollout=vllm, got {adapter.r}")
        bound = next(rank for rank in RANKS if rank >= adapter.r)
        self.settings: Mapping[str, Any] = {
            "model": base,
            "enable_lora": True,
            "max_loras": 1,
            "max_lora_rank": bound,
        }
        self._policy = policy
        self._numbers = count(1)  # vLLM keeps an adapter under its number

    def send(self, llm: Any) -> None:
        """Nothing: the base never changes."""

    @contextmanager
    def request(self) -> Iterator[Any]:
        """The adapter as it is now, in a folder that lasts as long as the engine writes."""
        from vllm.lora.request import LoRARequest

        number = next(self._numbers)
        with TemporaryDirectory(prefix="safelab-adapter-") as folder:
            self._policy.save(Path(folder))
            yield LoRARequest(lora_name=f"rollout_{number}", lora_int_id=number, lora_path=folder)


def handover_of(policy: Policy) -> Handover:
    """By what the policy trains.

    Raises:
        ConfigError: vLLM could not load what a LoRA policy starts from, or this is no model of ``transformers``.
    """
    adapters = getattr(policy.module, "peft_config", None)
    if not hasattr(policy.module, "config"):
        raise ConfigError(
            f"policy must train a model of transformers with rollout=vllm, got {type(policy.module).__name__}, which "
            "has no config: use rollout=hf"
        )
    return WholeWeights(policy.module) if adapters is None else AdapterFolder(policy, adapters["default"])
