"""What ``rollout=vllm`` uses of vLLM 0.29 to 0.32, without a GPU: the same names and signatures, and as strict.

It refuses what the real one refuses, and what would crash it: an unknown argument, a request while it sleeps, a weight
update of memory that is not there, handles that were not pickled, weights under another name. Its own weights are a
copy: it knows of the trainer's only what was handed over. Its log-probabilities are ``NOISE`` nats off. It has a
process, which a test can end (``LLM.die``); a call then waits for ever, as it does in vLLM.
"""

import base64
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest
import torch

NOISE = 0.05
"""Nats by which its log-probabilities differ from the trainer's, as another engine's rounding would."""

TAGS = frozenset({"weights", "kv_cache"})
UUID = "GPU-of-a-test"
GPUS = 4
"""That this process sees."""

SHARED: dict[int, torch.Tensor] = {}
"""The trainer's memory, as an engine reads it by its handles."""

WIRE: dict[int, list[torch.Tensor]] = {}
"""What was broadcast to the group at a port, in order."""


class EngineDeadError(Exception):
    def __init__(self) -> None:
        super().__init__("EngineCore encountered an issue. See stack trace (above) for the root cause.")


@dataclass
class EngineProcess:
    """Of ``multiprocessing``."""

    pid: int
    exitcode: int | None = None

    def end(self, code: int) -> None:
        self.exitcode = code

    def terminate(self) -> None:
        self.end(-int(signal.SIGTERM))


@dataclass
class SamplingParams:
    """The fields that have their say here; another is refused, as msgspec refuses it."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    logprobs: int | None = None
    detokenize: bool = True

    def __post_init__(self) -> None:
        assert self.temperature >= 0.0
        assert 0.0 < self.top_p <= 1.0
        assert self.top_k >= -1
        if 0 < self.temperature < 1e-2:
            self.temperature = 1e-2


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str = ""

    def __post_init__(self) -> None:
        assert self.lora_int_id >= 1
        assert self.lora_path


@dataclass
class Logprob:
    logprob: float


@dataclass
class CompletionOutput:
    token_ids: Sequence[int]
    logprobs: list[dict[int, Logprob]] | None
    finish_reason: str | None


@dataclass
class RequestOutput:
    outputs: list[CompletionOutput]


@dataclass
class IPCTrainerInitInfo:
    rank: int = field(kw_only=True)
    packed: bool = False
    packed_buffer_size_bytes: int = 2**30


@dataclass
class NCCLTrainerInitInfo:
    master_address: str
    master_port: int
    world_size: int
    packed: bool = True
    packed_buffer_size_bytes: int = 2**30
    packed_num_buffers: int = 2
    rank: int = field(kw_only=True)


@dataclass
class UpdateInfo:
    """``IPCWeightTransferUpdateInfo``; of the NCCL one's fields the first three."""

    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]
    ipc_handles: list[dict[str, Any]] | None = None
    ipc_handles_pickled: str | None = None
    tensor_sizes: list[int] | None = None


class ModuleSource:
    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from self._module.named_parameters()


class IPCTrainerEngine:
    def __init__(self, init_info: IPCTrainerInitInfo, client: Any, source: ModuleSource) -> None:
        self.client, self.source = client, source
        client.init_weight_transfer_engine({"packed": init_info.packed})

    def send_weights(self) -> None:
        pairs, info = announced(self.source)
        self.client.start_weight_update()
        SHARED.update({id(weight): weight.detach() for _, weight in pairs})
        self.client.update_weights({**asdict(info), "ipc_handles": [{UUID: (id(weight),)} for _, weight in pairs]})
        self.client.finish_weight_update()
        SHARED.clear()


class NCCLTrainerEngine:
    """Both ends of its group have to meet: a wrong number of members would wait for ever."""

    def __init__(self, init_info: NCCLTrainerInitInfo, client: Any, source: ModuleSource) -> None:
        self.client, self.source, self.port = client, source, init_info.master_port
        WIRE[self.port] = []
        told = {name: value for name, value in asdict(init_info).items() if name != "rank"}
        client.init_weight_transfer_engine({**told, "rank_offset": 1})

    def send_weights(self) -> None:
        pairs, info = announced(self.source)
        names = ("names", "dtype_names", "shapes")
        self.client.start_weight_update()
        WIRE[self.port] = [weight.detach().clone() for _, weight in pairs]  # it waits until they are out
        self.client.update_weights({name: getattr(info, name) for name in names})
        self.client.finish_weight_update()


def announced(source: ModuleSource) -> tuple[list[tuple[str, torch.Tensor]], UpdateInfo]:
    pairs = list(source)
    return pairs, UpdateInfo(
        names=[name for name, _ in pairs],
        dtype_names=[str(weight.dtype).split(".")[-1] for _, weight in pairs],
        shapes=[list(weight.shape) for _, weight in pairs],
    )


class WeightTransferTrainerFactory:
    @classmethod
    def trainer_init(cls, init_info: Any, *, client: Any, source: ModuleSource) -> Any:
        assert init_info.rank == 0
        kinds = {IPCTrainerInitInfo: IPCTrainerEngine, NCCLTrainerInitInfo: NCCLTrainerEngine}
        return kinds[type(init_info)](init_info, client, source)


class LLM:
    """Writes one request at a time."""

    made: ClassVar[list["LLM"]] = []
    processes: ClassVar[list[EngineProcess]] = []
    before_generate: ClassVar[Callable[["LLM"], None]] = staticmethod(lambda llm: None)
    after_generate: ClassVar[Callable[["LLM"], None]] = staticmethod(lambda llm: None)

    def __init__(
        self,
        model: str,
        *,
        skip_tokenizer_init: bool = False,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        load_format: Literal["auto", "dummy"] = "auto",
        max_model_len: int | None = None,
        gpu_memory_utilization: float = 0.92,
        enable_sleep_mode: bool = False,
        enable_lora: bool = False,
        max_loras: int = 1,
        max_lora_rank: int = 16,
        logprobs_mode: str = "raw_logprobs",
        generation_config: str = "auto",
        weight_transfer_config: dict[str, Any] | None = None,
        tensor_parallel_size: int = 1,
        distributed_executor_backend: str | None = None,
    ) -> None:
        from transformers import AutoConfig, AutoModelForCausalLM

        assert weight_transfer_config in (None, {"backend": "ipc"}, {"backend": "nccl"})
        assert tensor_parallel_size == 1 or distributed_executor_backend == "mp"
        self.settings = {name: value for name, value in locals().items() if name != "self"}
        # The engine's process has the variables of the moment in which it was started.
        self.environment = dict(os.environ)
        self.deaf_to_ctrl_c = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert tensor_parallel_size <= len(self.environment.get("CUDA_VISIBLE_DEVICES", "0").split(","))
        self.process = EngineProcess(pid=1 + len(LLM.made))
        LLM.processes.append(self.process)
        self.group: dict[str, Any] | None = None
        self.awake, self.asleep_at, self.updating, self.connected = set(TAGS), 0, False, False
        self.requests: list[LoRARequest | None] = []
        self.params: list[Sequence[SamplingParams]] = []
        self.slept, self.forgotten, self.stale_cache = [], 0, False
        shape = AutoConfig.from_pretrained(model)
        assert shape.architectures, "vLLM chooses its own class by the architecture"
        if load_format == "dummy":
            self.model = AutoModelForCausalLM.from_config(shape, dtype=getattr(torch, dtype)).eval()
        else:
            self.model = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
        # What an update brings has been compared with this: none may be left out.
        self.names = {name for name, _ in self.model.named_parameters()}
        LLM.made.append(self)

    def sleep(self, level: int = 1, mode: str = "abort") -> None:
        assert self.settings["enable_sleep_mode"], "Sleep mode is not enabled."
        self.slept.append(level)
        self.awake, self.asleep_at = set(), level
        if level == 2:
            with torch.no_grad():
                for weight in self.model.parameters():
                    weight.fill_(torch.nan)

    def wake_up(self, tags: list[str] | None = None) -> None:
        assert self.asleep_at, "the memory would be mapped twice"
        assert tags is not None, "the memory would be mapped twice"
        assert not self.awake & set(tags), "the memory would be mapped twice"
        assert set(tags) <= TAGS | {"scheduling"}
        self.awake |= set(tags)
        if self.awake >= TAGS | {"scheduling"}:
            self.awake, self.asleep_at = set(TAGS), 0

    def reset_prefix_cache(self, reset_running_requests: bool = False, reset_connector: bool = False) -> bool:
        self.forgotten, self.stale_cache = self.forgotten + 1, False
        return True

    def init_weight_transfer_engine(self, request: dict[str, Any]) -> None:
        self.alive()
        assert self.settings["weight_transfer_config"] is not None, "Weight transfer not configured."
        if self.settings["weight_transfer_config"]["backend"] == "ipc":
            assert request == {"init_info": {"packed": False}}
        else:
            self.group = request["init_info"]
            assert self.group["rank_offset"] == 1
            assert self.group["master_address"] == "127.0.0.1"
            members = 1 + self.settings["tensor_parallel_size"]
            assert self.group["world_size"] == members, "the group waits for its members"
        self.connected = True

    def start_weight_update(self) -> None:
        self.alive()
        assert self.connected
        assert not self.updating
        self.updating = True

    def update_weights(self, request: dict[str, Any]) -> None:
        info = UpdateInfo(**request["update_info"])
        assert self.updating
        assert "weights" in self.awake, "a segmentation fault: the weights' memory is not mapped"
        weights = dict(zip(info.names, self.broadcast() if self.group else self.mapped(info), strict=True))
        assert set(weights) == self.names
        assert [list(weight.shape) for weight in weights.values()] == info.shapes
        assert {str(weight.dtype) for weight in weights.values()} == {f"torch.{self.settings['dtype']}"}
        self.model.load_state_dict(weights, strict=False)
        self.stale_cache = True

    def broadcast(self) -> list[torch.Tensor]:
        assert self.group is not None
        return WIRE[self.group["master_port"]]

    def mapped(self, info: UpdateInfo) -> list[torch.Tensor]:
        assert info.ipc_handles is None, "no message can carry such handles"
        assert info.ipc_handles_pickled is not None
        assert self.environment.get("VLLM_ALLOW_INSECURE_SERIALIZATION") == "1", "Refusing to deserialize"
        handles = pickle.loads(base64.b64decode(info.ipc_handles_pickled))
        return [SHARED[handle[UUID][0]] for handle in handles]

    def alive(self) -> None:
        if self.process.exitcode is not None:
            raise EngineDeadError

    def die(self, code: int = -9) -> None:
        """In the middle of a call, which then waits for a queue into which nobody writes any more."""
        self.process.end(code)
        threading.Event().wait()

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        assert self.updating
        self.updating = False

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[dict[str, list[int]]],
        sampling_params: Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool = True,
        lora_request: LoRARequest | None = None,
    ) -> list[RequestOutput]:
        self.alive()
        assert not self.asleep_at, "the engine sleeps"
        assert not self.updating
        assert not self.stale_cache, "keys and values of older weights would be used again"
        assert sampling_params is not None
        assert len(sampling_params) == len(prompts)
        self.requests.append(lora_request)
        self.params.append(sampling_params)
        model = self.model
        if lora_request is not None:
            from peft import PeftModel
            from transformers import AutoModelForCausalLM

            assert self.settings["enable_lora"]
            base = AutoModelForCausalLM.from_pretrained(self.settings["model"])
            model = PeftModel.from_pretrained(base, lora_request.lora_path).eval()
        type(self).before_generate(self)
        rows = zip(prompts, sampling_params, strict=True)
        outputs = [self._one(model, each["prompt_token_ids"], params) for each, params in rows]
        type(self).after_generate(self)
        return outputs

    def _one(self, model: Any, prompt: list[int], params: SamplingParams) -> RequestOutput:
        assert self.settings["logprobs_mode"] == "processed_logprobs"
        assert params.logprobs == 0
        assert not (params.detokenize and self.settings["skip_tokenizer_init"])
        ends = set(params.stop_token_ids or ())
        if not params.ignore_eos:
            ends.add(self.model.config.eos_token_id)
        draw = torch.Generator().manual_seed(params.seed or 0)
        tokens, logprobs = list(prompt), []
        while len(logprobs) < (params.max_tokens or 0):
            assert len(tokens) < (self.settings["max_model_len"] or 0)
            logits = model(input_ids=torch.tensor([tokens])).logits[0, -1].float()
            logp = torch.log_softmax(logits / (params.temperature or 1.0), dim=-1)
            assert torch.isfinite(logp).all(), "the weights were forgotten"
            token = self.chosen(logp, draw, params, len(logprobs))
            tokens.append(token)
            logprobs.append({token: Logprob(float(logp[token]) + NOISE)})
            if token in ends:
                break
        reason = "stop" if tokens[-1] in ends else "length"
        return RequestOutput([CompletionOutput(tuple(tokens[len(prompt) :]), logprobs, reason)])

    def chosen(self, logp: torch.Tensor, draw: torch.Generator, params: SamplingParams, column: int) -> int:
        return int(torch.multinomial(logp.exp(), 1, generator=draw) if params.temperature else logp.argmax())


def install(monkeypatch: pytest.MonkeyPatch, version: str = "0.31.0") -> list[LLM]:
    """Put it in vLLM's place; the engines that are made."""
    monkeypatch.setenv("VLLM_ALLOW_INSECURE_SERIALIZATION", "0")  # whatever sets it is undone after the test
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "INFO")
    transfer = {"ModuleSource": ModuleSource, "WeightTransferTrainerFactory": WeightTransferTrainerFactory}
    modules = {
        "vllm": {"LLM": LLM, "SamplingParams": SamplingParams, "__version__": version},
        "vllm.platforms": {"current_platform": SimpleNamespace(device_type="cpu", device_count=lambda: GPUS)},
        "vllm.utils": {},
        "vllm.utils.network_utils": {"get_open_port": lambda: 1 + max(WIRE, default=40000)},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": LoRARequest},
        "vllm.distributed": {},
        "vllm.distributed.weight_transfer": transfer,
        "vllm.distributed.weight_transfer.ipc_engine": {"IPCTrainerInitInfo": IPCTrainerInitInfo},
        "vllm.distributed.weight_transfer.nccl_engine": {"NCCLTrainerInitInfo": NCCLTrainerInitInfo},
    }
    for name, held in modules.items():
        module = ModuleType(name)
        for key, value in held.items():
            setattr(module, key, value)
        monkeypatch.setitem(sys.modules, name, module)
    LLM.made, LLM.processes = [], []
    monkeypatch.setattr(multiprocessing, "active_children", lambda: list(LLM.processes))
    return LLM.made
