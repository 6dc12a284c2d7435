"""How fast a device samples and trains at the shapes of real models, as shares of what it reaches by itself.

MFU counts the arithmetic that the passes which were made cannot do without, on tokens alone, each pass once: forward 2
operations per weight and token, backward 2 for activations and 2 for the weights that train; the head on response
tokens; attention 2 x 2 x width per pair of tokens that see each other. Padding and recomputation count as nothing.
"""

import gc
import re
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.bench import lengths
from scripts.bench.gpu_checks import LORA, updates_of

GIB = 2**30
TINY = {
    "model_type": "qwen2", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512, "tie_word_embeddings": True,
}  # fmt: skip
QWEN2 = {"model_type": "qwen2", "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True}
QWEN3 = {
    "model_type": "qwen3", "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip
SHAPES = {
    "Qwen2.5-0.5B": QWEN2 | {
        "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
    },
    "Qwen2.5-3B": QWEN2 | {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
    },
    "Qwen3-0.6B": QWEN3 | {
        "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
    },
    "Qwen3-4B": QWEN3 | {
        "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A device, what it reaches (operations and bytes per second), and what of the tables is asked for."""

    directory: Path
    device: Any
    tiny: bool
    rows: str
    rate: float
    bandwidth: float

    @classmethod
    def measured(cls, directory: Path, device, tiny: bool, rows: str) -> "Machine":
        """Measure both ceilings, and print them."""
        import torch

        size = 256 if tiny else 8192
        one = torch.randn(size, size, device=device, dtype=torch.bfloat16)
        rate = 2 * size**3 / seconds(device, lambda: one @ one)
        block = torch.empty(2**20 if tiny else 2**30, device=device, dtype=torch.uint8)
        bandwidth = 2 * block.numel() / seconds(device, lambda: block.clone())
        print(f"\nmatrix products: {rate / 1e12:.3g} TFLOP/s in bfloat16; copies: {bandwidth / 1e9:.4g} GB/s")
        return cls(
            directory=directory, device=device, tiny=tiny, rows=rows, rate=rate, bandwidth=bandwidth
        )  # fmt: skip

    def shape(self, name: str) -> dict:
        """Of a model."""
        return TINY if self.tiny else SHAPES[name]

    def asked(self, rows: list[tuple]) -> list[tuple]:
        """The rows that were asked for; the first alone where it is tiny."""
        return (
            [("tiny", *rows[0][1:])]
            if self.tiny
            else [row for row in rows if re.search(self.rows, " ".join(map(str, row)))]
        )

    def clean(self) -> None:
        """Let go what the last row held, captured graphs included."""
        import torch

        torch.compiler.reset()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def sampling(machine: Machine) -> None:
    """Tokens per second of a batch that writes in full, and the share of what reading weights and cache allows."""
    print("\n| sampling | responses | decoding | tokens/s | ms a step | of the bandwidth's bound | first, s |")
    print("|---|---|---|---|---|---|---|")
    rows = [(name, 64, way) for name in ("Qwen2.5-3B", "Qwen2.5-0.5B") for way in ("captured", "dynamic", "compiled")]
    if machine.device.type == "cpu":
        rows = [("tiny", 64, "static")]
    for name, batch, way in machine.asked(rows):
        print(f"| {name}, LoRA | {batch} | {way} | {written(machine, name, batch, way)} |", flush=True)
        machine.clean()


def written(machine: Machine, name: str, batch: int, way: str) -> str:
    """One row: prompts and responses of 128 tokens."""
    from safelab.maths.seeds import row_seeds

    prompt, response = (8, 8) if machine.tiny else (128, 128)
    parts, _ = made(
        machine, name, [prompt] * batch, *LORA, f"rollout.max_new_tokens={response}", f"rollout.decoding={way}",
        f"policy.max_prompt_tokens={prompt}",
    )  # fmt: skip
    prompts = parts.policy.encode(parts.data.prompts(0, batch), range(batch))
    ids = prompts.ids

    def write() -> None:
        nonlocal ids
        ids, _ = parts.policy.generate(prompts, response, seeds=row_seeds(0, rows=batch), decoding=way)

    start = time.perf_counter()
    write()
    first = time.perf_counter() - start
    taken, steps = seconds(machine.device, write, repeats=1), ids.shape[1]
    weights = sum(weight.numel() * weight.element_size() for weight in parts.policy.module.parameters())
    shape = machine.shape(name)
    head = shape.get("head_dim", shape["hidden_size"] // shape["num_attention_heads"])
    token = 2 * shape["num_hidden_layers"] * shape["num_key_value_heads"] * head * 2
    # Every step reads the weights once and the cache as far as it is written: prompt and on average half the response.
    bound = steps * (weights + batch * token * (prompt + steps / 2)) / machine.bandwidth
    return (
        f"{batch * steps / taken:,.0f} | {1e3 * taken / steps:.2f} | {bound / taken:.0%} | {first:.0f}"
    )  # fmt: skip


def updates(machine: Machine) -> None:
    """One epoch over a batch of HH-RLHF's lengths: reference and scoring pass, then training, in pieces."""
    print("\n| update | rows | tokens | piece | passes | s | tokens/s | MFU | peak, GiB | first, s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    plain, packed = ("policy.packing=none",), ("policy.packing=auto",)
    compiled = (*packed, "policy.compile=true")
    rows = [
        ("Qwen2.5-0.5B", 64, 16384, "LoRA", "padded", (*LORA, *plain)),
        ("Qwen2.5-0.5B", 64, 16384, "LoRA", "packed", (*LORA, *packed)),
        ("Qwen2.5-0.5B", 64, 16384, "LoRA", "packed, compiled", (*LORA, *compiled)),
        ("Qwen3-0.6B", 96, 16384, "full", "packed, compiled", compiled),
        ("Qwen3-0.6B", 384, 16384, "full", "packed, compiled", compiled),
        ("Qwen2.5-3B", 64, 4096, "LoRA", "packed", (*LORA, *packed)),
        ("Qwen2.5-3B", 64, 8192, "LoRA", "packed, compiled", (*LORA, *compiled)),
        ("Qwen3-4B", 64, 8192, "LoRA", "packed, compiled", (*LORA, *compiled)),
    ]
    for name, batch, piece, trained, passes, overrides in machine.asked(rows):
        done = trained_on(machine, name, batch, piece, *overrides)
        print(f"| {name}, {trained} | {done.replace('PASSES', passes)} |", flush=True)
        machine.clean()


def trained_on(machine: Machine, name: str, batch: int, piece: int, *overrides: str) -> str:
    """One row of the table."""
    rows = lengths.read()[: 4 if machine.tiny else batch]
    parts, module = made(
        machine, name, [prompt for prompt, _ in rows], "updates=5", "algorithm=ppo_matched", "optimizer.epochs=1",
        f"rollout.batch_size={len(rows)}", f"optimizer.micro_batch_tokens={piece}", *overrides,
    )  # fmt: skip
    parts = replace(parts, rollout=Answers(rows))
    start = time.perf_counter()
    found = updates_of(parts)
    next(found)
    first = time.perf_counter() - start
    best = min((step.row for step in found), key=lambda row: row["time/update_s"])
    taken, tokens = best["time/update_s"], sum(prompt + answer for prompt, answer in rows)
    # Scoring by the reference and by the policy, and one pass forward and back; in one piece scoring is that pass.
    forward = 2 if tokens <= piece else 3
    rate = passes_flops(module, machine.shape(name), rows, forward) / taken / machine.rate
    return (
        f"{len(rows)} | {tokens:,} | {piece:,} | PASSES | {taken:.3f} | {tokens / taken:,.0f} | {rate:.0%} | "
        f"{best['memory/peak_gib']:.1f} | {first:.0f}"
    )


def controller(machine: Machine) -> None:
    """What SAFE costs beside PPO with the same critic and passes: medians of turns."""
    print("\n| update | rows | `safe` / `ppo_matched`, median of turns | s |\n|---|---|---|---|")
    for name, batch in machine.asked([("Qwen2.5-0.5B", 64)]):
        rows = lengths.read()[: 4 if machine.tiny else batch]
        arms = {}
        for arm in ("safe", "ppo_matched"):
            parts, _ = made(
                machine, name, [prompt for prompt, _ in rows], "updates=100", f"algorithm={arm}", *LORA,
                f"rollout.batch_size={len(rows)}", "optimizer.epochs=2", "optimizer.micro_batch_tokens=16384",
                "policy.packing=auto",
            )  # fmt: skip
            arms[arm] = updates_of(replace(parts, rollout=Answers(rows)))
            next(arms[arm])
        times: dict[str, list[float]] = {arm: [] for arm in arms}
        for number in range(3 if machine.tiny else 12):
            for arm in list(arms)[:: 1 if number % 2 else -1]:
                times[arm].append(next(arms[arm]).row["time/update_s"])
        ratios = sorted(a / b for a, b in zip(times["safe"], times["ppo_matched"], strict=True))
        middle = len(ratios) // 2
        print(
            f"| {name}, LoRA | {len(rows)} | {ratios[middle]:.3f} | {sorted(times['safe'])[middle]:.3f} |", flush=True
        )
        del arms
        machine.clean()


def trl(machine: Machine) -> None:
    """A whole update, sampling included, beside TRL's PPO: same weights, prompts, batch and lengths."""
    from scripts.bench.gpu_trl import compare

    print("\n| update | rows | TRL, s | ppo, s | TRL / ppo |\n|---|---|---|---|---|")
    for name, batch in machine.asked([("Qwen2.5-0.5B", 32)]):
        print(f"| {name}, full | {batch} | {compare(machine, name, batch)} |", flush=True)


def made(machine: Machine, name: str, prompts: list[int], *overrides: str):
    """Parts of a run over a model of that shape, made in place: nothing is written to a disk; and the bare model."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from safelab.contracts import Context
    from safelab.parts.policy.causal_lm import CausalLm
    from safelab.plugins import build_option
    from scripts.bench.update import config_for, parts_of

    config = config_for(machine.directory, f"device={machine.device.type}", "policy.dtype=bfloat16", *overrides)
    small = parts_of({**config, "policy": {**config["policy"], "compile": False}})
    shape = dict(machine.shape(name))
    kind = AutoConfig.for_model(shape.pop("model_type"), **shape)
    with torch.device(machine.device):
        module = AutoModelForCausalLM.from_config(
            kind, dtype=torch.bfloat16, attn_implementation="sdpa", trust_remote_code=False
        ).eval()
    context = Context(seed=0, device=machine.device, cache=Path())
    option = CausalLm(**config["policy"])
    policy = option.over(
        module, small.policy.texts.tokenizer, context, prompt_template=option.prompt_template, compiled=option.compile
    )
    critic = build_option("critic", config["critic"], replace(context, policy=policy))
    return replace(small, policy=policy, critic=critic, data=Lengths(prompts)), module


class Lengths:
    """``contracts.PromptSource``: prompts of these lengths in tokens, again and again."""

    def __init__(self, sizes: list[int]) -> None:
        self._texts = ["".join(chr(97 + (row + i) % 26) for i in range(size)) for row, size in enumerate(sizes)]

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The same every time."""
        return [self._texts[(cursor + row) % len(self._texts)] for row in range(count)]


class Answers:
    """``contracts.Sampler`` that writes nothing: random tokens of the answers' lengths, so that training alone runs."""

    samples_per_prompt, staleness = 1, 0

    def within(self, policy):
        """It reads no policy."""
        return nullcontext()

    def __init__(self, rows: list[tuple[int, int]]) -> None:
        self.batch_size = len(rows)
        self._sizes = [answer for _, answer in rows]

    def sample(self, policy, prompts, seeds):
        """One response for each row."""
        import torch

        from safelab.types import Rollout

        device = prompts.ids.device
        ids = torch.randint(3, 500, (len(self._sizes), max(self._sizes)), device=device)
        mask = torch.arange(ids.shape[1], device=device) < torch.tensor(self._sizes, device=device)[:, None]
        ended = torch.ones(len(ids), dtype=torch.bool, device=device)
        texts = tuple("a" * size for size in self._sizes)
        return Rollout(prompts=prompts, ids=ids, mask=mask, ended_seq=ended, responses=texts)


def passes_flops(module, shape: dict, rows: list[tuple[int, int]], forward: int) -> float:
    """Of ``forward`` passes forward and one back over these rows; see the module's docstring."""
    head = shape["vocab_size"] * shape["hidden_size"]
    weights = {id(weight): weight for weight in module.parameters()}.values()
    body = sum(weight.numel() for weight in weights) - head  # embedding and head are one
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    trained_head = head if trained > head else 0
    tokens, answers = sum(sum(row) for row in rows), sum(answer for _, answer in rows)
    width = shape["num_attention_heads"] * shape.get("head_dim", shape["hidden_size"] // shape["num_attention_heads"])
    seen = sum(sum(row) * (sum(row) + 1) / 2 for row in rows)
    pairs = shape["num_hidden_layers"] * 2 * 2 * width * seen
    once = 2 * body * tokens + 2 * head * answers + pairs
    own = 2 * (trained - trained_head) * tokens + 2 * trained_head * answers
    return (forward + 1) * once + pairs + own  # back: the activations' gradients, for attention twice over


def seconds(device, work: Callable[[], object], repeats: int = 5) -> float:
    """Least time of a call, the device's queue emptied."""
    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    if repeats > 1:
        work()
    times = []
    for _ in range(repeats):
        wait()
        start = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    sys.exit("run scripts/gpu_check.sh")
