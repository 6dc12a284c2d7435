"""What `dry_run` foretells of memory against what a run takes, and how the peak grows with the micro-batch.

    .venv/bin/python -m scripts.bench.memory [--case NAME ...] [--micro-batches] [--plain-malloc]
    .venv/bin/python -m scripts.bench.memory --ragged
    .venv/bin/python -m scripts.bench.memory --model FOLDER [--plain-malloc]

Random weights on a CPU, two updates per case in a process of its own. "measured" is what torch's allocator held at
most (its own reports to the profiler) and the weights; "resident" is the growth of the process's resident set with the
weights, which has what libraries and malloc keep besides; malloc is told to give back what is freed, unless it is
plain. No reward model: the reward counts characters. ``--ragged``: prompts of HH-RLHF's lengths, and as many tokens in
prompts of one length. ``--model``: a chat model of yours with LoRA in place of a case.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model's shape and how an update is cut; ``lengths``: of the prompts, one batch, else they end at ``prompt``."""

    family: str
    width: int
    layers: int
    vocabulary: int
    overrides: tuple[str, ...]
    batch: int = 8
    prompt: int = 64
    response: int = 64
    lengths: tuple[int, ...] = ()


LORA = ("policy/adapter=lora", "policy.adapter.rank=16")
CASES = {
    "qwen2 20M, full": Case(family="qwen2", width=384, layers=8, vocabulary=16384, overrides=()),
    "qwen2 20M, LoRA": Case(family="qwen2", width=384, layers=8, vocabulary=16384, overrides=LORA),
    "qwen2 20M, full, bfloat16": Case(
        family="qwen2", width=384, layers=8, vocabulary=16384, overrides=("policy.dtype=bfloat16",)
    ),
    "llama 48M, LoRA": Case(family="llama", width=512, layers=10, vocabulary=32768, overrides=LORA),
    "llama 48M, full, micro-batch 4": Case(
        family="llama", width=512, layers=10, vocabulary=32768, overrides=("optimizer.micro_batch_size=4",)
    ),
    "llama 48M, LoRA, checkpointing": Case(
        family="llama", width=512, layers=10, vocabulary=32768,
        overrides=(*LORA, "policy.gradient_checkpointing=true"),
    ),
}  # fmt: skip


def ragged_cases() -> dict[str, Case]:
    """HH-RLHF's prompt lengths, and the same number of tokens at one length (the last prompt has what remains)."""
    from scripts.bench.update import settings

    prompts = settings()["ragged"].prompts
    each = sum(prompts) // len(prompts)
    even = (*(each,) * (len(prompts) - 1), sum(prompts) - each * (len(prompts) - 1))
    return {
        name: Case(
            family="qwen2", width=128, layers=4, vocabulary=4096, overrides=(), batch=len(prompts), prompt=max(rows),
            lengths=rows,
        )
        for name, rows in (("ragged", prompts), ("even, the same tokens", even))
    }  # fmt: skip


OF_A_FOLDER = "local"
"""The family of a model that is there, which ``policy.path`` among the overrides names."""

QUESTIONS = [f"What is the capital of country number {number}, and why is that so?" for number in range(10)]


def chat_model(folder: Path) -> Case:
    """8 responses of at most 32 tokens to those questions, by the chat model in ``folder`` with LoRA."""
    told = (*LORA, f"policy.path={folder}", "policy.prompt_template=chat")
    return Case(family=OF_A_FOLDER, width=0, layers=0, vocabulary=0, overrides=told, prompt=512, response=32)


def make_model(directory: Path, case: Case) -> None:
    """Random weights, a tokenizer of as many words, and prompts of one length; questions for a model that is there."""
    if case.family == OF_A_FOLDER:
        (directory / "prompts.txt").write_text("\n".join(QUESTIONS) + "\n")
        return
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
    from transformers.utils.logging import disable_progress_bar

    from scripts.bench.update import save_prompts, save_tokenizer

    kinds = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}
    config, model = kinds[case.family]
    disable_progress_bar()
    torch.manual_seed(0)
    model(
        config(
            vocab_size=case.vocabulary, hidden_size=case.width, intermediate_size=3 * case.width,
            num_hidden_layers=case.layers, num_attention_heads=8, num_key_value_heads=4, tie_word_embeddings=True,
            pad_token_id=0, eos_token_id=1, bos_token_id=None,
        )
    ).save_pretrained(directory)  # fmt: skip
    save_tokenizer(directory, case.vocabulary)
    if case.lengths:
        save_prompts(directory, list(case.lengths))
        return
    # Of several lengths, so that there is padding, and one in four of the longest, so that every batch has one.
    save_prompts(directory, [case.prompt, case.prompt - 5, case.prompt - 10, case.prompt - 15] * 64)


def config_of(directory: Path, case: Case) -> dict:
    """The run's resolved configuration."""
    from scripts.bench.update import config_for

    return config_for(
        directory, f"rollout.batch_size={case.batch}", f"rollout.max_new_tokens={case.response}",
        f"policy.max_prompt_tokens={case.prompt}", "algorithm=ppo_matched", "updates=2", *case.overrides,
    )  # fmt: skip


def measure(directory: Path, case: Case, how: str) -> dict[str, float]:
    """Foretold and measured MiB of a run in this process, by the allocator's reports or by the resident set."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from safelab.app.dry_run.estimate import need
    from safelab.training.loop import train_loop, train_update
    from safelab.training.state import initial_state
    from scripts.bench.update import parts_of

    torch.set_num_threads(1)
    config = config_of(directory, case)
    foretold = need(config)
    parts = parts_of(config)
    modules = (parts.policy.module, parts.policy.reference.module, parts.critic.module)
    storages = {weight.data_ptr(): weight.untyped_storage() for part in modules for weight in part.parameters()}
    weights = sum(storage.nbytes() for storage in storages.values())
    found = {"parameters": foretold.parameters, "foretold": foretold.peak / MIB}

    def train() -> None:
        for _ in train_loop(parts, initial_state(parts), train_update):
            pass

    if how == "resident":
        Path("/proc/self/clear_refs").write_text("5")  # the peak of the resident set begins here
        before = status("VmRSS")
        train()
        return {**found, "resident": (weights + status("VmHWM") - before) / MIB}
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        train()
    reports = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = accumulate(event.nbytes() for event in sorted(reports, key=lambda event: event.start_ns()))
    return {**found, "measured": (weights + max(held)) / MIB}


def status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise SystemExit(f"/proc/self/status has no {name}")


def in_a_process(case: Case, plain: bool = False, ways: Sequence[str] = ("resident", "measured")) -> dict[str, float]:
    """``measure`` each way in a process of its own, whose malloc gives back what is freed, unless it is plain."""
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        make_model(directory, case)
        giving = {} if plain else {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **giving}
        found: dict[str, float] = {}
        for how in ways:
            told = [json.dumps(asdict(case)), "--how", how]
            command = [sys.executable, "-m", "scripts.bench.memory", "--serve", str(directory), "--case", *told]
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
                cwd=ROOT,
            )  # fmt: skip
            found |= json.loads(done.stdout.splitlines()[-1])
    return found


def show(name: str, found: dict[str, float]) -> None:
    """One line of the table."""
    ratio = found["foretold"] / found["measured"]
    print(
        f"| {name} | {found['parameters']:,} | {found['foretold']:.0f} | {found['measured']:.0f} | {ratio:.2f} "
        f"| {found['resident']:.0f} |",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", help="only these of: " + "; ".join(CASES))
    parser.add_argument("--micro-batches", action="store_true", help="the peak over the micro-batch instead")
    parser.add_argument("--ragged", action="store_true", help="prompts of many lengths beside prompts of one")
    parser.add_argument("--model", type=Path, help="the folder of a chat model instead")
    parser.add_argument("--plain-malloc", action="store_true", help="malloc may keep what is freed")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--how", help=argparse.SUPPRESS)
    flags = parser.parse_args(arguments)
    if flags.serve:
        fields = json.loads(flags.case[0])
        told = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        print(json.dumps(measure(flags.serve, Case(**told), flags.how)))
        return
    print("| case | parameters | foretold, MiB | measured, MiB | ratio | resident, MiB |\n|---|---|---|---|---|---|")
    if flags.micro_batches:
        for size in (1, 2, 4, 8):
            overrides = (*LORA, f"optimizer.micro_batch_size={size}")
            case = Case(family="qwen2", width=384, layers=8, vocabulary=16384, overrides=overrides)
            show(f"qwen2 20M, LoRA, micro-batch {size}", in_a_process(case))
        return
    cases = ragged_cases() if flags.ragged else CASES
    if flags.model:
        cases = {"chat model, LoRA": chat_model(flags.model.absolute())}
    for name in flags.case or cases:
        show(name, in_a_process(cases[name], flags.plain_malloc))


if __name__ == "__main__":
    main()
