"""How the trainer's weights reach vLLM's engine before a rollout: whole, by memory or by wire, or as a saved adapter.

Read in vLLM's source of 0.29, 0.31 and 0.32, where all of this is alike; never run.

- ``distributed/weight_transfer/nccl_engine.py``: ``NCCLTrainerInitInfo(rank=, master_address=, master_port=,
  world_size=)``, ``world_size`` being the trainer and every process of the engine; packed by default. ``trainer_init``
  opens a group of its own (``StatelessProcessGroup``: one TCP port, the trainer is number 0 and listens) on the GPU
  that is current, while the engine joins in another thread. ``send_weights`` announces names, types and shapes,
  broadcasts, and waits for its stream, so that the weights may move once it returns.
- ``ipc_engine.py``: handles on the trainer's memory by the GPU's UUID, for an engine on the same GPU.
- ``model_executor/model_loader/reload/layerwise.py``: a layer whose weights do not come keeps the old ones, with a
  warning in the log; so they are compared here.
- ``entrypoints/llm.py``: ``init_weight_transfer_engine``, ``start_weight_update``, ``update_weights``,
  ``finish_weight_update`` go to every process of the engine, and take plain dictionaries.
- An adapter can only be given to it as a folder.
"""

import copy
import shutil
import weakref
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import MappingProxyType
from typing import Any, Literal, Protocol

import torch
from torch import nn

from safelab.contracts import Policy
from safelab.errors import ConfigError, EngineFailed
from safelab.pretrained.adapters import base_of
from safelab.pretrained.load import Source

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The bounds on an adapter's rank that vLLM has kernels for."""

SHOWN = 5
"""Weights that a message names before it counts the others."""


class Handover(Protocol):
    """One way to hand weights over.

    ``sleep_level``: how deep the engine may sleep meanwhile; at 2 it forgets its weights, at 1 they wait in the CPU's
    memory. ``environment``: variables that the engine's process has to find. ``settings``: arguments of ``vllm.LLM``,
    the model among them.
    """

    sleep_level: Literal[1, 2]
    environment: Mapping[str, str]
    settings: Mapping[str, Any]

    def gathered(self, policy: Policy) -> AbstractContextManager[None]:
        """In it weights are sent; what of them lies in parts on the ranks is whole for that, all ranks enter."""

    def send(self, llm: Any) -> Any:
        """Bring the engine up to the weights of this moment; its own are awake, its cache need not be.

        Afterwards the policy may be trained on. Gives the ``LoRARequest`` to write with until the next time, or None.
        """


class WholeWeights:
    """Full fine-tuning: the engine reads the trainer's tensors where they lie (CUDA IPC), or is sent them (NCCL).

    It starts without weights (``dummy``), from the shape alone: whatever is not handed over would show in the first
    update, whose rollout is scored by the trainer as well. So it does not matter either what ``policy.path`` leads to.

    Args:
        module: whose weights they are.
        apart: how many GPUs the engine has to itself; 0 where it shares the trainer's.
    """

    sleep_level: Literal[1, 2] = 2

    def __init__(self, module: Any, apart: int) -> None:
        folder = mkdtemp(prefix="safelab-shape-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        shape = copy.deepcopy(module.config)
        shape.architectures = [type(module).__name__]  # vLLM chooses its own class by it
        shape.save_pretrained(folder)
        self.settings: Mapping[str, Any] = {
            "model": folder,
            "load_format": "dummy",
            "weight_transfer_config": {"backend": "nccl" if apart else "ipc"},
        }
        # The handles come pickled: from this process alone, but vLLM asks to be told that it may read them.
        self.environment: Mapping[str, str] = {} if apart else {"VLLM_ALLOW_INSECURE_SERIALIZATION": "1"}
        self._module, self._apart = module, apart
        self._expected = expected_weights(module, shape)
        self._sender: Any = None

    def gathered(self, policy: Policy) -> AbstractContextManager[None]:
        """Every layer is whole."""
        return policy.whole()

    def send(self, llm: Any) -> None:
        """Every weight.

        Raises:
            EngineFailed: weights that the engine's model has are not there, or others are, or have another shape.
        """
        if said := differences(self._expected, self._module):
            raise EngineFailed(f"the policy's weights must be those of its config.json with rollout=vllm, got {said}")
        if self._sender is None:
            self._sender = self._connected(Receiver(llm))
        self._sender.send_weights()

    def _connected(self, client: "Receiver") -> Any:
        from vllm.distributed.weight_transfer import ModuleSource, WeightTransferTrainerFactory

        if self._apart:
            from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo
            from vllm.utils.network_utils import get_open_port

            # One group of the trainer, number 0 in it, and each of the engine's GPUs; on this machine, at a free port.
            info: Any = NCCLTrainerInitInfo(
                rank=0, master_address="127.0.0.1", master_port=get_open_port(), world_size=1 + self._apart
            )
        else:
            from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo

            info = IPCTrainerInitInfo(rank=0)
        return WeightTransferTrainerFactory.trainer_init(info, client=client, source=ModuleSource(self._module))


def expected_weights(module: Any, shape: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights that a model of this kind and shape has, which is what vLLM makes room for."""
    with torch.device("meta"):
        twin = type(module)(shape)
    return {name: tuple(weight.shape) for name, weight in twin.named_parameters()}


def differences(expected: Mapping[str, tuple[int, ...]], module: nn.Module) -> str | None:
    """Which weights of ``module`` are not as expected, in words; None if all are.

    vLLM itself would not say: a layer whose weights do not come keeps what it had, and is a line in its log.
    """
    there = {name: tuple(weight.shape) for name, weight in module.named_parameters()}
    told = [
        *(f"no {name}" for name in expected if name not in there),
        *(f"{name}, which it has not" for name in there if name not in expected),
        *(
            f"{name} of shape {there[name]} for {expected[name]}"
            for name in expected
            if name in there and there[name] != expected[name]
        ),
    ]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return ", ".join(told[:SHOWN]) + more if told else None


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
        """What the weights are; handles on the trainer's memory are written as to a process of one's own."""
        plain = {name: value for name, value in update_info.items() if name != "ipc_handles"}
        if "ipc_handles" in update_info:
            handles = ForkingPickler.dumps(update_info["ipc_handles"])
            plain["ipc_handles_pickled"] = b64encode(handles).decode("ascii")
        self._llm.update_weights({"update_info": plain})

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
        self._save: Callable[[Path], None] = policy.save
        self._numbers = count(1)  # vLLM keeps an adapter under its number
        self._folder: TemporaryDirectory[str] | None = None

    @contextmanager
    def gathered(self, policy: Policy) -> Iterator[None]:
        """The adapter alone is gathered, as nobody asks for the base."""
        self._save = policy.saver(on_all=True)
        yield

    def send(self, llm: Any) -> Any:
        """The adapter as it is now, in a folder that is there until the next one."""
        from vllm.lora.request import LoRARequest

        number, before = next(self._numbers), self._folder
        self._folder = TemporaryDirectory(prefix="safelab-adapter-")
        self._save(Path(self._folder.name))
        if before is not None:
            before.cleanup()
        return LoRARequest(lora_name=f"rollout_{number}", lora_int_id=number, lora_path=self._folder.name)


def handover_of(policy: Policy, apart: int) -> Handover:
    """By what the policy trains, to an engine that has ``apart`` GPUs to itself (0: it shares the trainer's).

    Raises:
        ConfigError: vLLM could not load what a LoRA policy starts from, or this is no model of ``transformers``.
    """
    adapters = getattr(policy.module, "peft_config", None)
    if not hasattr(policy.module, "config"):
        raise ConfigError(
            f"policy must train a model of transformers with rollout=vllm, got {type(policy.module).__name__}, which "
            "has no config: use rollout=hf"
        )
    return WholeWeights(policy.module, apart) if adapters is None else AdapterFolder(policy, adapters["default"])
