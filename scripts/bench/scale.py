"""One update on 1 to 64 GPUs, on paper: seconds from published speeds, memory from `dry_run`; a model, no measurement.

    .venv/bin/python -m scripts.bench.scale [--model qwen2.5-7b] [--ranks 1,2,4,8,16,32,64] [--sharding none|layers]
        [--lora RANK] [--rollout-gpus N] [--batch 512] [--tokens 256+768] [--link nvlink|pcie]
        [--mfu 0.18] [--bandwidth 0.19]

Neither weights nor network: shapes are published configurations, tensors have no values (torch's meta device). The
defaults of ``--mfu`` and ``--bandwidth`` are what an H100 reached in this project's own run at 3B (docs/log.md: 23 %
of the 770 TFLOP/s and 22 % of the 2.9 TB/s that it reached at all); a faster engine makes them larger, and so the
exchanges' share. Assumptions come first, then the table.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.bench import scale_model
from scripts.bench.scale_model import Machine, Seconds, Sizes, Work

QWEN = {"model_type": "qwen2", "max_position_embeddings": 32768}
SHAPES: dict[str, dict[str, Any]] = {
    "qwen2.5-0.5b": {
        **QWEN, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "qwen2.5-1.5b": {
        **QWEN, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "qwen2.5-7b": {
        **QWEN, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
    },
    "llama-3.1-8b": {
        "model_type": "llama", "max_position_embeddings": 131072, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
        "tie_word_embeddings": False,
    },
    "qwen2.5-32b": {
        **QWEN, "hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 64, "num_attention_heads": 40,
        "num_key_value_heads": 8, "vocab_size": 152064, "tie_word_embeddings": False,
    },
}  # fmt: skip
"""Published configurations (config.json of Qwen/Qwen2.5-*, meta-llama/Llama-3.1-8B)."""

LINKS = {"nvlink": 450e9, "pcie": 64e9}
"""Bytes per second and direction between the GPUs of a machine: NVLink 4, PCIe 5 x16."""

PEAKS = {"bfloat16": 989e12, "float32": 67e12}
"""Operations per second of an H100 SXM, without sparsity and without TF32."""

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked for."""

    model: str
    sharding: str
    lora: int
    writers: int
    batch: int
    prompt: int
    response: int
    dtype: str
    piece: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; ``memory``: bytes of a GPU that trains."""

    gpus: int
    memory: int
    seconds: Seconds


def config_of(plan: Plan) -> dict[str, Any]:
    """The run's resolved configuration, of one rank."""
    from scripts.bench.update import config_for

    adapter = ("policy/adapter=lora", f"policy.adapter.rank={plan.lora}") if plan.lora else ()
    config = config_for(
        Path("model"), "algorithm=ppo_matched", f"rollout={'vllm' if plan.writers else 'hf'}",
        f"rollout.batch_size={plan.batch}", f"rollout.max_new_tokens={plan.response}",
        f"policy.max_prompt_tokens={plan.prompt}", f"policy.dtype={plan.dtype}", "policy.gradient_checkpointing=true",
        f"optimizer.micro_batch_size={plan.piece}", *adapter,
    )  # fmt: skip
    config["policy"]["sharding"] = plan.sharding
    return config


def shape_of(model: str) -> Any:
    """The model's configuration, of ``transformers``."""
    from transformers import AutoConfig

    known = dict(SHAPES[model])
    return AutoConfig.for_model(known.pop("model_type"), **known)


def rows(plan: Plan, machine: Machine, ranks: Sequence[int]) -> Iterator[tuple[Work, Row]]:
    """What an update is on so many ranks, and what it takes."""
    from safelab.app.dry_run.estimate import batches
    from safelab.app.dry_run.lengths import Lengths
    from safelab.app.dry_run.memory import need

    config, shape = config_of(plan), shape_of(plan.model)
    sizes, longest = Sizes.of(shape), Lengths(prompt=plan.prompt, response=plan.response, said="as asked")
    for count in ranks:
        config["ranks"] = count
        told = need(config, shape, batches(config), longest)
        sharded = plan.sharding == "layers" and count > 1
        work = work_of(plan, config, shape, told, sharded)
        seconds = scale_model.update(machine, sizes, work, count, plan.writers)
        yield work, Row(gpus=count + plan.writers, memory=told.peak, seconds=seconds)


def work_of(plan: Plan, config: dict[str, Any], shape: Any, told: Any, sharded: bool) -> Work:
    """The update of that configuration; ``told``: what ``dry_run`` says of a rank's memory."""
    itemsize = {"float32": 4, "bfloat16": 2}[plan.dtype]
    whole = told.parameters * itemsize
    return Work(
        rows=plan.batch, prompt=plan.prompt, response=plan.response, epochs=config["optimizer"]["epochs"],
        minibatches=config["optimizer"]["minibatches"], piece=plan.piece,
        checkpointing=config["policy"]["gradient_checkpointing"], adapter=plan.lora > 0, itemsize=itemsize,
        number_of_layers=shape.num_hidden_layers, layers=told.layer_weights, trained_layers=told.layer_gradients,
        rest=told.summed, sent=told.layer_gradients if plan.lora else whole, sharded=sharded,
    )  # fmt: skip


def assumptions(plan: Plan, machine: Machine, work: Work, room: int) -> list[str]:
    """What the table rests on, a line each."""
    trained = f"LoRA of rank {plan.lora} on all linear layers" if plan.lora else "in full (AdamW)"
    layers = "; layers divided by the ranks (policy.sharding=layers)" if plan.sharding == "layers" else ""
    where = "by all GPUs"
    if plan.writers:
        where = (
            f"by {plan.writers} GPUs of their own, which split one model and have room for {room:,} rows at once, "
            "while the update before it trains"
        )
    return [
        "A model, not a measurement: nothing below was run on such machines.",
        f"- {plan.model}, {plan.dtype}, {trained}{layers}; gradient checkpointing, at most {plan.piece} rows in a pass",
        f"- an update: {plan.batch} prompts of {plan.prompt} tokens, responses of {plan.response}, all in full; "
        f"{work.epochs} epoch(s) of {work.minibatches} minibatch(es); written {where}; rewards cost nothing",
        f"- a GPU: {machine.peak / 1e12:.0f} TFLOP/s in {plan.dtype}, of which products reach {machine.mfu:.0%}; "
        f"{machine.bandwidth / 1e12:.2f} TB/s, of which a step of writing reaches {machine.bandwidth_share:.0%}; "
        f"{machine.memory / 1e9:.0f} GB",
        f"- links: {machine.inside / 1e9:.0f} GB/s in each direction between the {machine.gpus} GPUs of a machine, and "
        f"between machines {machine.gpus} adapters of {machine.outside / 1e9:.0f} GB/s at once, of which "
        f"{machine.link_share:.0%} is reached; {machine.latency * 1e6:.0f} microseconds to start an exchange",
        "- nothing overlaps: this is the most that exchanges cost. FSDP2 fetches a layer while another computes",
        "- memory is dry_run's estimate of the tensors of a GPU that trains, without reward model",
    ]


def table(found: Sequence[Row], machine: Machine) -> Iterator[str]:
    """The rows as Markdown; speed-up and efficiency against the first that fits."""
    yield "| GPUs | GiB a GPU | write, s | score, s | train, s | exchange, s | update, s | share of exchange | speed-up | efficiency |"  # noqa: E501
    yield "|---|---|---|---|---|---|---|---|---|---|"
    first = next((row for row in found if row.memory <= machine.memory), None)
    for row in found:
        time, size = row.seconds, f"{row.memory / GIB:.1f}"
        if row.memory > machine.memory or first is None:
            yield f"| {row.gpus} | {size}: does not fit | | | | | | | | |"
            continue
        exchanged, speed = time.exchange + time.send, first.gpus * first.seconds.total / time.total
        yield (
            f"| {row.gpus} | {size} | {time.write:.2f} | {time.score:.2f} | {time.train:.2f} | {exchanged:.3f} "
            f"| {time.total:.2f} | {exchanged / time.total:.1%} | {speed:.1f} | {speed / row.gpus:.0%} |"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SHAPES, default="qwen2.5-7b")
    parser.add_argument("--ranks", default="1,2,4,8,16,32,64", help="GPUs that train, with commas between")
    parser.add_argument("--sharding", choices=("none", "layers"), default="layers")
    parser.add_argument("--lora", type=int, default=0, help="its rank; 0: every weight trains")
    parser.add_argument("--rollout-gpus", type=int, default=0, help="that only write, beside those that train")
    parser.add_argument("--batch", type=int, default=512, help="responses of an update")
    parser.add_argument("--tokens", default="256+768", help="of a prompt and of a response")
    parser.add_argument("--piece", type=int, default=16, help="rows in a pass, optimizer.micro_batch_size")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--link", choices=LINKS, default="nvlink")
    parser.add_argument("--mfu", type=float, default=0.18, help="share of the peak that products reach")
    parser.add_argument("--bandwidth", type=float, default=0.19, help="share of the bandwidth that writing reaches")
    parser.add_argument("--link-share", type=float, default=0.8, help="share of the links that exchanges reach")
    flags = parser.parse_args(arguments)
    ranks = [int(count) for count in flags.ranks.split(",")]
    if flags.batch < max(ranks):
        parser.error(f"--batch must be at least the {max(ranks)} ranks, got {flags.batch}: each has rows of its own")
    prompt, response = (int(count) for count in flags.tokens.split("+"))
    plan = Plan(
        model=flags.model, sharding=flags.sharding, lora=flags.lora, writers=flags.rollout_gpus, batch=flags.batch,
        prompt=prompt, response=response, dtype=flags.dtype, piece=flags.piece,
    )  # fmt: skip
    machine = Machine(
        peak=PEAKS[flags.dtype],
        inside=LINKS[flags.link],
        mfu=flags.mfu,
        bandwidth_share=flags.bandwidth,
        link_share=flags.link_share,
    )
    try:
        found = [*rows(plan, machine, ranks)]
    except ValueError as error:
        parser.error(f"--rollout-gpus must be more for this model, got {flags.rollout_gpus}: {error}")
    work = found[0][0]
    room = scale_model.room(machine, Sizes.of(shape_of(plan.model)), work, plan.writers)
    print("\n".join(assumptions(plan, machine, work, room)), end="\n\n")
    print("\n".join(table([row for _, row in found], machine)))


if __name__ == "__main__":
    main()
