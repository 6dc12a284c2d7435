"""Time of one update: safelab's arms, the parts that an update cannot do without, TRL 1.12, and how it scales.

    .venv/bin/python -m scripts.bench.update [--setting even] [--rounds 15] [--threads 2] [--trl DIR] [--against TREE]
    .venv/bin/python -m scripts.bench.update --scaling

A random Qwen2 of 4 layers, width 128, vocabulary 512; batch 16, 2 epochs. Settings: ``even``, prompts of 16 tokens and
responses of 32; ``ragged``, HH-RLHF's prompt lengths up to 256 tokens and responses of 64; ``answers``, the same
prompts and HH-RLHF's answer lengths up to 64. Every batch of a setting has the same lengths. All workers live at once
and take turns, one update each, in an order that changes every round; a ratio is the median of the rounds' ratios, so
that a machine that others use too disturbs all alike. ``--trl DIR`` installs TRL 1.12 into an environment there; TRL
writes every response in full, so it is no part of ``answers``. ``--against TREE``: the same arms by the code of another
checkout, in the same run. On a machine that is never calm: ``--clock cpu --threads 1``, the processor's time.
"""

import argparse
import random
import string
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.bench import lengths
from scripts.bench.answers import SHARE, Answers
from scripts.bench.floor import EPOCHS, Floor
from scripts.bench.turns import CLOCKS, ROOT, Worker, ratio_of, take_turns, timed

VOCABULARY, WIDTH, LAYERS, BATCH = 512, 128, 4, 16


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Tokens of each prompt of a batch, and of each response; ``ends``: whether responses end before the longest."""

    prompts: tuple[int, ...]
    answers: tuple[int, ...]
    ends: bool = False

    @property
    def overrides(self) -> tuple[str, ...]:
        """Of a run with these lengths."""
        longest = max(self.prompts), max(self.answers)
        return f"policy.max_prompt_tokens={longest[0]}", f"rollout.max_new_tokens={longest[1]}"


def settings() -> dict[str, Setting]:
    """By name. The order within a batch is drawn once."""
    rows = lengths.read()
    prompts = lengths.typical([prompt for prompt, _ in rows if prompt <= 256], BATCH)
    answers = lengths.typical([min(answer, 64) for _, answer in rows], BATCH)
    random.Random(0).shuffle(prompts)
    random.Random(1).shuffle(answers)
    return {
        "even": Setting(prompts=(16,) * BATCH, answers=(32,) * BATCH),
        "ragged": Setting(prompts=tuple(prompts), answers=(64,) * BATCH),
        "answers": Setting(prompts=tuple(prompts), answers=tuple(answers), ends=True),
    }


def make_model(directory: Path, prompt: int) -> None:
    """Random weights, a tokenizer of as many words, and prompts of one length; no response ends by itself."""
    save_model(directory, ends=False)
    save_tokenizer(directory, VOCABULARY)
    save_prompts(directory, [prompt] * 512)


def make_setting(directory: Path, setting: Setting) -> None:
    """The same with one batch of prompts, so that every update reads all of them and does the same work."""
    save_model(directory, setting.ends)
    save_tokenizer(directory, VOCABULARY)
    save_prompts(directory, list(setting.prompts))


def save_model(directory: Path, ends: bool) -> None:
    """Random weights that never draw padding, and the end token never or everywhere with about ``SHARE``.

    Every token's embedding has the same large first number; after the last norm it is still about the same, so the
    head's first column adds a constant to a token's logit.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=LAYERS,
            num_attention_heads=4, num_key_value_heads=4, pad_token_id=0, eos_token_id=1, bos_token_id=None,
        )
    )  # fmt: skip
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        model.get_input_embeddings().weight[:, 0] = 0.5
        head[:, 0], head[:2] = 0, 0
        seen = model.model(torch.arange(2, VOCABULARY).unsqueeze(0)).last_hidden_state[0, :, 0].mean()
        head[:2, 0] = -40 / seen
        if ends:
            head[1, 0] = log(VOCABULARY * SHARE / (1 - SHARE)) / seen
    model.save_pretrained(directory)


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


def updates_of(directory: Path, *overrides: str, answers: tuple[int, ...] = ()) -> Callable[[], object]:
    """A function that makes one update; ``answers``: where its responses end."""
    from safelab.training.loop import train_loop, train_update
    from safelab.training.state import initial_state

    parts = parts_of(config_for(directory, "updates=1000000", *overrides))
    if answers:
        parts = replace(parts, rollout=Answers(parts.rollout, answers))
    steps = train_loop(parts, initial_state(parts), train_update)
    next(steps)  # update 0 audits itself
    return lambda: next(steps)


def decoding_of(directory: Path, setting: Setting) -> Callable[[], object]:
    """A function that makes one rollout."""
    from safelab.maths.seeds import row_seeds

    parts = parts_of(config_for(directory, *setting.overrides))
    sampler = Answers(parts.rollout, setting.answers) if setting.ends else parts.rollout
    prompts, seeds = parts.policy.encode(parts.data.prompts(0, BATCH), range(BATCH)), row_seeds(0, rows=BATCH)
    return lambda: sampler.sample(parts.policy, prompts, seeds)


def serve(directory: Path, threads: int, name: str, kind: str, clock: str) -> None:
    """Be a worker: ``floor``, ``floor_decoding`` or ``decoding`` alone, or an algorithm preset."""
    import torch

    torch.set_num_threads(threads)
    setting = settings()[name]
    if kind.startswith("floor"):
        floor = Floor(directory, setting.prompts, setting.answers)
        work: Callable[[], object] = floor.update if kind == "floor" else floor.decode
    elif kind == "decoding":
        work = decoding_of(directory, setting)
    else:
        answers = setting.answers if setting.ends else ()
        work = updates_of(directory, f"algorithm={kind}", *setting.overrides, answers=answers)
    while sys.stdin.readline().strip():
        print(f"ms {timed(work, CLOCKS[clock])}", flush=True)


def trl_python(directory: Path) -> str:
    """The interpreter of an environment with TRL 1.12, made if need be."""
    python = directory / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
        # torch and transformers are pinned to this project's, so that both sides run the same kernels and model.
        import torch
        import transformers

        pinned = f"torch=={torch.__version__.split('+')[0]}", f"transformers=={transformers.__version__}"
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "trl==1.12.0", *pinned], check=True)
    return str(python)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all workers of a run share: the model's folder, the setting's name, threads, and the clock."""

    directory: Path
    setting: str
    threads: int
    clock: str

    def worker(self, kind: str, tree: Path = ROOT) -> Worker:
        """``serve`` in a process of its own, by the code of ``tree``."""
        told = ["--serve", str(self.directory), "--setting", self.setting, "--kind", kind]
        told += ["--threads", str(self.threads), "--clock", self.clock]
        return Worker(sys.executable, "-m", "scripts.bench.update", *told, tree=tree)

    def trl(self, python: str, collect: str) -> Worker:
        """TRL, with its collections (``yes``) or without (``no``)."""
        script, response = Path(__file__).with_name("trl_worker.py"), max(settings()[self.setting].answers)
        told = (self.directory, BATCH, response, EPOCHS, self.threads, collect, self.clock)
        return Worker(python, str(script), *map(str, told))


def compare(bench: Bench, rounds: int, trl: Path | None, against: Path | None) -> None:
    """The table of medians and the ratios."""
    kinds = ("ppo", "ppo_matched", "safe")
    workers = {kind: bench.worker(kind) for kind in ("floor", *kinds)}
    pairs = [("ppo", "floor"), ("safe", "floor"), ("safe", "ppo_matched")]
    if against is not None:
        workers |= {f"{kind} there": bench.worker(kind, against) for kind in kinds}
        pairs += [("ppo there", "floor"), *((f"{kind} there", kind) for kind in kinds)]
    if trl is not None:
        python = trl_python(trl)
        workers |= {"trl": bench.trl(python, "yes"), "trl without gc": bench.trl(python, "no")}
        pairs += [("trl", "ppo"), ("trl without gc", "ppo")]
    times = take_turns(workers, rounds)
    how = f"{rounds} rounds, threads: {bench.threads}, clock: {bench.clock}"
    print(f"{bench.setting}: {how}; milliseconds of an update; ratios: median [quartiles]")
    for kind, values in times.items():
        print(f"  {kind:18} median {sorted(values)[len(values) // 2]:7.1f}  least {min(values):7.1f}")
    for kind, other in pairs:
        print(f"  {kind} / {other}: {ratio_of(times[kind], times[other])}")


def scaling(directory: Path, rounds: int) -> None:
    """Least time over batch and response length: linear is a constant time per token."""
    import torch

    torch.set_num_threads(1)
    print("batch  response  ms/update  microseconds/response token")
    for batch, response in ((8, 32), (16, 32), (32, 32), (64, 32), (16, 64), (16, 128)):
        update = updates_of(
            directory, f"rollout.batch_size={batch}", f"rollout.max_new_tokens={response}", "algorithm=safe"
        )
        taken = min(timed(update) for _ in range(rounds))  # what others do on the machine only adds
        print(f"{batch:5}  {response:8}  {taken:9.1f}  {1e3 * taken / (batch * response):8.1f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=settings(), default="even")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--trl", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    flags = parser.parse_args(arguments)
    if flags.serve:
        serve(flags.serve, flags.threads, flags.setting, flags.kind, flags.clock)
        return
    setting = settings()[flags.setting]
    if flags.clock == "cpu" and flags.threads != 1:
        parser.error(f"--threads must be 1 with --clock cpu, got {flags.threads}: threads that wait are busy too")
    if flags.trl and setting.ends:
        parser.error(f"--trl cannot be measured with --setting {flags.setting}: TRL writes every response in full")
    if flags.against and not (flags.against / "src" / "safelab").is_dir():
        parser.error(f"--against must be a checkout of this project, got {flags.against}, which has no src/safelab")
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        if flags.scaling:
            make_model(directory, prompt=16)
            scaling(directory, flags.rounds)
            return
        make_setting(directory, setting)
        against = flags.against.absolute() if flags.against else None
        bench = Bench(directory=directory, setting=flags.setting, threads=flags.threads, clock=flags.clock)
        compare(bench, flags.rounds, flags.trl, against)


if __name__ == "__main__":
    main()
