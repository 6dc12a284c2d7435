"""First whether a GPU computes what a CPU does, then how fast it trains at the shapes of Qwen2.5-0.5B and 3B.

    scripts/gpu_check.sh [--device cuda|cpu] [--tiny]

Weights are random: a shape needs no download. Shares are of what this device itself reaches in a copy and in a bfloat16
matrix product, measured first. On a CPU the peak is the process's resident set.
Exit code 1: a check failed; 2: there is no GPU.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

GIB = 2**30
TINY = {
    "model_type": "qwen2", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512, "tie_word_embeddings": True,
}  # fmt: skip
LORA = ("policy/adapter=lora", "policy.adapter.rank=128", "policy.adapter.alpha=128")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, measure, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="a toy's size: whether the script itself works")
    flags = parser.parse_args(arguments)
    import torch

    from scripts.bench.update import make_model

    if flags.device == "cuda" and not torch.cuda.is_available():
        print("gpu_check needs a GPU, and torch sees none here; try --device cpu --tiny", file=sys.stderr)
        return 2
    if flags.device == "cpu":
        torch.set_num_threads(1)
    device = torch.device(flags.device)
    print(torch.cuda.get_device_name() if flags.device == "cuda" else "CPU", f"torch {torch.__version__}", flush=True)
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        make_model(directory, prompt=16)
        failed = check(directory, device)
        speed(directory, device, flags.tiny)
    return int(failed)


def check(directory: Path, device) -> bool:
    """Print each comparison; whether one failed."""
    checks = {
        "log-probabilities, bfloat16 here against float32 on a CPU: mean gap, nats": (precision, 0.05),
        "the reference with the adapter off against the model without one: greatest gap": (adapter_off, 0.0),
        "ratio at step 0: distance from 1": (first_ratio, 1e-3),
        "a resumed run against an uninterrupted one: greatest gap of a metric": (
            resumed, 0.0 if device.type == "cpu" else 1e-2,
        ),
    }  # fmt: skip
    failed = False
    print("\n| check | found | bound | |\n|---|---|---|---|")
    for name, (measure, bound) in checks.items():
        found = measure(directory, device)
        failed |= not found <= bound
        print(f"| {name} | {found:.2g} | {bound:.2g} | {'ok' if found <= bound else 'FAILED'} |", flush=True)
    return failed


def policy_on(directory: Path, device, *overrides: str):
    """A policy there."""
    from scripts.bench.update import config_for, parts_of

    return parts_of(config_for(directory, f"device={device.type}", *overrides)).policy


def scored(policy):
    """Log-probabilities and hidden states of the same 8 responses, whatever the policy."""
    import torch

    prompts = policy.encode(["abcdefgh", "ijk", "lmnop", "q"] * 2, range(8))
    ids = torch.randint(2, 512, (8, 24), generator=torch.Generator().manual_seed(0)).to(prompts.ids.device)
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        hidden = policy.model.hidden(prompts.ids, prompts.mask, ids, mask)
        hidden_ref = policy.reference.hidden(prompts.ids, prompts.mask, ids, mask)
        return policy.model.token_stats(hidden[:, :-1], ids).logp_tok.float().cpu(), hidden, hidden_ref


def precision(directory: Path, device) -> float:
    """Mean distance of a bfloat16 policy's log-probabilities on the device from float32 on a CPU."""
    import torch

    exact, *_ = scored(policy_on(directory, torch.device("cpu")))
    coarse, *_ = scored(policy_on(directory, device, "policy.dtype=bfloat16"))
    return float((coarse - exact).abs().mean())


def adapter_off(directory: Path, device) -> float:
    """Greatest distance of the hidden states."""
    import torch

    _, plain, _ = scored(policy_on(directory, device))
    policy = policy_on(directory, device, *LORA)
    with torch.no_grad():
        for name, weight in policy.module.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    _, moved, reference = scored(policy)
    if torch.equal(moved, plain):
        raise SystemExit("the adapter changes nothing: the comparison would say nothing")
    return float((reference - plain).abs().max())


def first_ratio(directory: Path, device) -> float:
    """Of the first pass of an update in bfloat16, in micro-batches, so that it is a pass of its own."""
    from safelab.training import loop
    from scripts.bench.update import config_for, parts_of

    seen = []
    # The loop's own check, with what it saw.
    loop.check_first_pass = lambda stats: seen.append(stats.first_ratio_error)
    next(train(parts_of(config_for(
        directory, f"device={device.type}", "policy.dtype=bfloat16", "algorithm=safe", "updates=1",
        "optimizer.micro_batch_size=4",
    ))))  # fmt: skip
    return seen[0]


def resumed(directory: Path, device) -> float:
    """Greatest relative distance between the rows of a run in one piece and one in two."""
    import contextlib
    import io

    from safelab.training.lifecycle.run import train as run
    from scripts.bench.update import config_for, parts_of

    def rows(name: str, *counts: int) -> list[dict]:
        for updates in counts:
            config = config_for(
                directory, f"device={device.type}", f"output_dir={directory / name}", f"updates={updates}", *LORA,
                "algorithm=safe",
            )  # fmt: skip
            with contextlib.redirect_stderr(io.StringIO()):
                outcome = run(parts_of(config), config, [], "gpu_check")
        return [json.loads(line) for line in (outcome.directory / "metrics.jsonl").read_text().splitlines()]

    whole, parts = rows("whole", 4), rows("parts", 2, 4)
    timed = ("time/", "speed/", "memory/")
    gaps = [
        abs(value - other[name]) / max(1.0, abs(value))
        for row, other in zip(whole, parts, strict=True)
        for name, value in row.items()
        if isinstance(value, float) and not name.startswith(timed)
    ]
    return max(gaps)


def train(parts):
    """The loop from a fresh state."""
    from safelab.training.loop import train_loop, train_update
    from safelab.training.state import initial_state

    return train_loop(parts, initial_state(parts), train_update)


def speed(directory: Path, device, tiny: bool) -> None:
    """What the device reaches, then each shape."""
    import torch

    from safelab.app.dry_run.estimate import SHAPES

    size = 256 if tiny else 8192
    one = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    rate = 2 * size**3 / seconds(device, lambda: one @ one)
    block = torch.empty(2**20 if tiny else 2**30, device=device, dtype=torch.uint8)
    bandwidth = 2 * block.numel() / seconds(device, lambda: block.clone())
    print(f"\nmatrix products: {rate / 1e12:.3g} TFLOP/s in bfloat16; copies: {bandwidth / 1e9:.4g} GB/s")
    del one, block
    print(
        "\n| shape | responses | tokens/s sampled | of the bandwidth's bound | update, s | MFU | peak, GiB | foretold |"
    )
    print("|---|---|---|---|---|---|---|---|")
    if tiny:
        shapes = {"tiny": TINY}
    else:
        shapes = {name.split("/")[1]: shape for name, shape in SHAPES.items() if name.startswith("Qwen")}
    for name, shape in sorted(shapes.items()):
        for batch in (4,) if tiny else (16, 64):
            print(f"| {name}, LoRA | {batch} | {measured(directory, device, shape, batch, tiny, rate, bandwidth)} |")
            sys.stdout.flush()
            torch.compiler.reset()  # with its captured graphs, which hold memory
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()


def measured(directory: Path, device, shape: dict, batch: int, tiny: bool, rate: float, bandwidth: float) -> str:
    """One row of the table: sampling, then updates, of one shape with random weights."""
    import torch
    from transformers import AutoConfig

    from safelab.app.dry_run.estimate import batches
    from safelab.app.dry_run.lengths import Lengths
    from safelab.app.dry_run.memory import need
    from safelab.maths.seeds import row_seeds
    from scripts.bench.update import config_for, parts_of

    prompt, response = (8, 8) if tiny else (128, 128)
    config = config_for(
        directory, f"device={device.type}", "algorithm=safe", "updates=3", *LORA, "policy.dtype=bfloat16",
        f"rollout.batch_size={batch}", f"rollout.max_new_tokens={response}", f"policy.max_prompt_tokens={prompt}",
        "rollout.decoding=compiled" if device.type == "cuda" else "rollout.decoding=static",
        f"optimizer.micro_batch_size={min(batch, 16)}",
    )  # fmt: skip
    kind = AutoConfig.for_model(
        shape["model_type"], **{name: value for name, value in shape.items() if name != "model_type"}
    )
    parts = with_shape(parts_of(config), config, kind, device, prompt)
    prompts = parts.policy.encode(["".join("abcdefgh"[i % 8] for i in range(prompt))] * batch, range(batch))
    seeds = row_seeds(0, rows=batch)
    parts.rollout.sample(parts.policy, prompts, seeds)  # compiles
    taken = seconds(device, lambda: parts.rollout.sample(parts.policy, prompts, seeds), repeats=2)
    weights = sum(weight.numel() * weight.element_size() for weight in parts.policy.module.parameters())
    foretold = need(config, kind, batches(config), Lengths(prompt=prompt, response=response, said="as given"))
    # Every step reads the weights once and the cache as far as it is written: on average prompt and half the response.
    step_bytes = weights + foretold.cache * (prompt + response / 2) / (prompt + response)
    bound = response * step_bytes / bandwidth
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    row = list(train(parts))[-1].row
    flops = model_flops(foretold, shape, batch, prompt, response, parts.optimizer.epochs)
    update = row["time/update_s"]
    return (
        f"{batch * response / taken:,.0f} | {bound / taken:.0%} | {update:.3f} | {flops / update / rate:.0%} | "
        f"{row['memory/peak_gib']:.2f} | {foretold.peak / GIB:.2f}"
    )


def with_shape(parts, config: dict, kind, device, prompt: int):
    """The same parts over a policy of another shape, made in place: nothing is written to a disk."""
    import torch
    from transformers import AutoModelForCausalLM

    from safelab.contracts import Context
    from safelab.parts.policy.causal_lm import CausalLm
    from safelab.plugins import build_option

    context = Context(seed=0, device=device, cache=Path())
    with torch.device(device):
        module = AutoModelForCausalLM.from_config(
            kind, dtype=torch.bfloat16, attn_implementation="sdpa", trust_remote_code=False
        ).eval()
    option = CausalLm(**config["policy"])
    texts = {"prompt_template": option.prompt_template, "compiled": option.compile}
    policy = option.over(module, parts.policy.texts.tokenizer, context, **texts)
    critic = build_option("critic", config["critic"], replace(context, policy=policy))
    data = Repeated("".join("abcdefgh"[i % 8] for i in range(prompt)))
    return replace(parts, policy=policy, critic=critic, data=data)


class Repeated:
    """``contracts.PromptSource``: one prompt of the full length, again and again."""

    def __init__(self, text: str) -> None:
        self._text = text

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The same."""
        return [self._text] * count


def model_flops(found, shape: dict, batch: int, prompt: int, response: int, epochs: int) -> float:
    """What an update cannot do without: a reference pass, and per epoch a forward and a backward pass.

    2 per weight and token forward; backward 2 for the gradients of activations, and 2 for those of trained weights.
    Embeddings are looked up; attention adds 2 (forward) x 2 x width per token and pair of layers and tokens, halved
    by causality. The head is applied to response columns only.
    """
    tokens = batch * (prompt + response)
    head = shape["vocab_size"] * shape["hidden_size"]
    body = found.parameters - head
    pairs = shape["num_hidden_layers"] * 2 * shape["hidden_size"] * (prompt + response) * tokens
    forward = 2 * body * tokens + 2 * head * batch * response + pairs
    adapters = 2 * found.trained * tokens
    return forward + epochs * (2 * forward + 3 * adapters)


def seconds(device, work: Callable[[], object], repeats: int = 5) -> float:
    """Least time of a call, the device's queue emptied."""
    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

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
    sys.exit(main())
