"""TRL 1.12's PPO and ours on one device: random weights of one shape on disk, HH-RLHF's prompt lengths, in one run."""

import statistics
import sys
from importlib.util import find_spec

from scripts.bench import lengths
from scripts.bench.turns import ROOT, Worker, timed

PROMPT, RESPONSE, PIECE, ROUNDS = 256, 64, 8, 3


def compare(machine, name: str, batch: int) -> str:
    """One row: median seconds of TRL's update and of ours, and their ratio. Both sample, score and train 2 epochs."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from scripts.bench.gpu_checks import updates_of
    from scripts.bench.update import config_for, parts_of, save_prompts

    if find_spec("trl") is None:
        return "TRL is not here | | "
    prompts = [prompt for prompt, _ in lengths.read() if prompt <= PROMPT][:batch]
    response = 8 if machine.tiny else RESPONSE
    save_prompts(machine.directory, prompts)
    shape = dict(machine.shape(name))
    kind = AutoConfig.for_model(shape.pop("model_type"), **shape, pad_token_id=0, eos_token_id=1, bos_token_id=None)
    torch.manual_seed(0)
    with torch.device(machine.device):
        AutoModelForCausalLM.from_config(kind, dtype=torch.bfloat16, trust_remote_code=False).save_pretrained(
            machine.directory
        )
    steps = updates_of(parts_of(config_for(
        machine.directory, f"device={machine.device.type}", "policy.dtype=bfloat16", "algorithm=ppo", "updates=100",
        f"rollout.batch_size={batch}", f"rollout.max_new_tokens={response}", "optimizer.epochs=2",
        f"policy.max_prompt_tokens={PROMPT}", "optimizer.micro_batch_tokens=8192",
    )))  # fmt: skip
    next(steps)
    worker = Worker(
        sys.executable, str(ROOT / "scripts" / "bench" / "trl_worker.py"), str(machine.directory), str(batch),
        str(response), "2", "1", "no", "wall", machine.device.type, str(PIECE),
    )  # fmt: skip
    worker()
    times = [(worker(), timed(lambda: next(steps))) for _ in range(ROUNDS)]
    worker.close()
    theirs, ours = (statistics.median(each) / 1e3 for each in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    return f"{theirs:.2f} | {ours:.2f} | {ratio:.1f}"
