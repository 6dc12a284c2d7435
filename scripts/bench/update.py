"""Time of one update: safelab's arms, the parts that an update cannot do without, TRL 1.12, and how it scales.

    .venv/bin/python -m scripts.bench.update [--rounds 15] [--threads 2] [--trl DIR] [--scaling]

A random Qwen2 of 4 layers, width 128, vocabulary 512; batch 16, prompt 16, response 32, 2 epochs. All workers live at
once and take turns, one update each, in an order that changes every round; a ratio is the median of the rounds' ratios,
so that a machine that others use too disturbs all alike. ``--trl DIR`` installs TRL 1.12 into an environment there.
"""

import argparse
import random
import statistics
import string
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY, WIDTH, LAYERS = 512, 128, 4


def make_model(directory: Path, prompt: int) -> None:
    """Random weights, a tokenizer of as many words, and prompts of one length."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=LAYERS,
            num_attention_heads=4, num_key_value_heads=4, pad_token_id=0, eos_token_id=1, bos_token_id=None,
        )
    ).save_pretrained(directory)  # fmt: skip
    save_tokenizer(directory, VOCABULARY)
    save_prompts(directory, [prompt] * 512)


def save_tokenizer(directory: Path, vocabulary: int) -> None:
    """Every byte a token, then padding, end, and names without use up to ``vocabulary``.

    Byte-level, because ``AutoTokenizer`` reads a Qwen2 folder's tokenizer as Qwen2's own kind, whatever it says it is.
    """
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast

    # Qwen2's own end token is among them, or else ``AutoTokenizer`` adds it as one more, without a row of the model.
    names = ["<pad>", "<end>", "<|endoftext|>", *sorted(ByteLevel.alphabet())]
    names += [f"<{index}>" for index in range(len(names), vocabulary)]
    tokenizer = Tokenizer(BPE({name: index for index, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), Decoder()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", padding_side="left"
    ).save_pretrained(directory)


def save_prompts(directory: Path, lengths: list[int]) -> None:
    """One prompt of each length, in tokens, as the policy's tokenizer will count them."""
    from transformers import AutoTokenizer

    draw = random.Random(0)
    lines = ["".join(draw.choices(string.ascii_lowercase, k=length)) for length in lengths]
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    if [len(tokenizer(line)["input_ids"]) for line in lines] != lengths:
        raise SystemExit("the benchmark's prompts do not have the tokens that they should; has AutoTokenizer changed?")
    (directory / "prompts.txt").write_text("\n".join(lines) + "\n")


def length(prompts: list[str], responses: list[str]) -> list[float]:
    """A reward that costs nothing."""
    return [float(len(response) % 7) for response in responses]


def config_for(directory: Path, *overrides: str) -> dict:
    """The resolved configuration of a run on that model."""
    from safelab.app.config.compose import compose, opened
    from safelab.app.config.jobs import to_job

    common = ["policy=local", f"policy.path={directory}", "data=text", f"data.path={directory / 'prompts.txt'}",
              "reward=function", "reward.name='scripts.bench.update:length'", "rollout.batch_size=16",
              "rollout.max_new_tokens=32", "optimizer.epochs=2", "optimizer.lr=1e-5", "device=cpu"]  # fmt: skip
    with opened() as hydra:
        return dict(to_job(compose(hydra, [*common, *overrides])).config)


def parts_of(config: dict):
    """Its parts."""
    from safelab.app.config.build import build, context_for

    return build(config, context_for(config, lambda text: None))


def updates_of(directory: Path, *overrides: str) -> Callable[[], float]:
    """A function that makes one update and returns its milliseconds."""
    from safelab.training.loop import train_loop, train_update
    from safelab.training.state import initial_state

    parts = parts_of(config_for(directory, "updates=1000000", *overrides))
    steps = train_loop(parts, initial_state(parts), train_update)
    next(steps)  # update 0 audits itself
    return lambda: timed(lambda: next(steps))


def floor_of(directory: Path) -> Callable[[], float]:
    """The parts that no update of this kind can do without, each as bare as torch and transformers allow."""
    import torch
    from transformers import AutoModelForCausalLM, DynamicCache

    model = AutoModelForCausalLM.from_pretrained(directory, trust_remote_code=False).eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, foreach=True)
    prompts = torch.randint(2, VOCABULARY, (16, 16))

    @torch.no_grad()
    def decode():
        cache, ids, last = DynamicCache(config=model.config), [prompts], prompts
        for _ in range(32):
            logits = model(input_ids=last, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
            last = torch.multinomial(torch.softmax(logits.float(), dim=-1), 1)
            ids.append(last)
        return torch.cat(ids, dim=1)

    def logp(ids):
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits[:, 15:]
        return torch.log_softmax(logits.float(), dim=-1).gather(-1, ids[:, 16:, None])

    def once():
        ids = decode()
        with torch.no_grad():
            logp(ids)
        for _ in range(2):
            optimizer.zero_grad(set_to_none=True)
            (-logp(ids).mean()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    once()
    return lambda: timed(once)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


class Worker:
    """A process that makes one update for each line; the other side of ``serve`` and of ``trl_worker.py``."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        )

    def __call__(self) -> float:
        """Milliseconds of one update."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("ms "):
                return float(line.split()[1])
        raise SystemExit(f"a worker ended: {' '.join(self.process.args)}")

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()


def serve(directory: Path, threads: int, kind: str) -> None:
    """Be a worker."""
    import torch

    torch.set_num_threads(threads)
    update = floor_of(directory) if kind == "floor" else updates_of(directory, f"algorithm={kind}")
    while sys.stdin.readline().strip():
        print(f"ms {update()}", flush=True)


def trl_python(directory: Path) -> str:
    """The interpreter of an environment with TRL 1.12, made if need be."""
    python = directory / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
        # torch is pinned to this project's, so that both sides run the same kernels.
        import torch

        pinned = f"torch=={torch.__version__.split('+')[0]}"
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "trl==1.12.0", pinned], check=True)
    return str(python)


def compare(directory: Path, rounds: int, threads: int, trl: Path | None) -> None:
    """The table of medians and the ratios to ``ppo_matched``."""
    served = ["--serve", str(directory), "--threads", str(threads), "--kind"]
    mine = [sys.executable, "-m", "scripts.bench.update", *served]
    workers = {kind: Worker(*mine, kind) for kind in ("floor", "ppo", "ppo_matched", "safe")}
    if trl is not None:
        worker = str(Path(__file__).with_name("trl_worker.py"))
        theirs = [trl_python(trl), worker, str(directory), "16", "32", "2", str(threads)]
        workers |= {"trl": Worker(*theirs, "yes"), "trl without gc": Worker(*theirs, "no")}
    for worker in workers.values():
        for _ in range(2):
            worker()
    times: dict[str, list[float]] = {name: [] for name in workers}
    order = list(workers)
    for number in range(rounds):
        random.Random(number).shuffle(order)
        for name in order:
            times[name].append(workers[name]())
    for worker in workers.values():
        worker.close()

    def ratio(name: str, other: str) -> str:
        each = sorted(a / b for a, b in zip(times[name], times[other], strict=True))
        quarter = len(each) // 4
        return f"{statistics.median(each):.3f} [{each[quarter]:.3f}, {each[-1 - quarter]:.3f}]"

    print(f"{rounds} rounds, {threads} threads; milliseconds of an update; ratios: median [quartiles] of the rounds")
    for name, values in times.items():
        print(f"  {name:16} median {statistics.median(values):7.1f}  least {min(values):7.1f}")
    pairs = [("ppo", "floor"), ("safe", "floor"), ("safe", "ppo_matched"), ("trl", "ppo"), ("trl without gc", "ppo")]
    for name, other in pairs:
        if name in times:
            print(f"  {name} / {other}: {ratio(name, other)}")


def scaling(directory: Path, rounds: int) -> None:
    """Least time over batch and response length: linear is a constant time per token."""
    import torch

    torch.set_num_threads(1)
    print("batch  response  ms/update  microseconds/response token")
    for batch, response in ((8, 32), (16, 32), (32, 32), (64, 32), (16, 64), (16, 128)):
        update = updates_of(
            directory, f"rollout.batch_size={batch}", f"rollout.max_new_tokens={response}", "algorithm=safe"
        )
        taken = min(update() for _ in range(rounds))  # what others do on the machine only adds
        print(f"{batch:5}  {response:8}  {taken:9.1f}  {1e3 * taken / (batch * response):8.1f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--trl", type=Path)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    flags = parser.parse_args(arguments)
    if flags.serve:
        serve(flags.serve, flags.threads, flags.kind)
        return
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        make_model(directory, prompt=16)
        if flags.scaling:
            scaling(directory, flags.rounds)
        else:
            compare(directory, flags.rounds, flags.threads, flags.trl)


if __name__ == "__main__":
    main()
