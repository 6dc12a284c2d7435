"""Whether a GPU computes what a CPU does: each comparison with the bound that it has to keep."""

import json
from pathlib import Path

LORA = ("policy/adapter=lora", "policy.adapter.rank=128", "policy.adapter.alpha=128")


def updates_of(parts):
    """The loop from a fresh state."""
    from safelab.training.loop import train_loop, train_update
    from safelab.training.state import initial_state

    return train_loop(parts, initial_state(parts), train_update)


def check(directory: Path, device) -> bool:
    """Print each comparison; whether one failed."""
    checks = {
        "log-probabilities, bfloat16 here against float32 on a CPU: mean gap, nats": (precision, 0.05),
        "log-probabilities without padding against padded, bfloat16: mean gap, nats": (packed, 0.05),
        "gradients without padding against padded, bfloat16: angle's 1 - cosine": (packed_gradient, 0.01),
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


def packed(directory: Path, device) -> float:
    """Mean distance of the log-probabilities of ragged rows, prompts shared, from those of a padded batch."""
    ragged, padded = (ragged_pass(directory, device, packing)[0] for packing in ("auto", "none"))
    return float((ragged - padded).abs().mean())


def packed_gradient(directory: Path, device) -> float:
    """How far the gradient of their sum points elsewhere."""
    import torch

    ragged, padded = (ragged_pass(directory, device, packing)[1] for packing in ("auto", "none"))
    return 1.0 - float(torch.nn.functional.cosine_similarity(ragged, padded, dim=0))


def ragged_pass(directory: Path, device, packing: str):
    """Log-probabilities of eight ragged responses to four prompts, and the gradient of their sum."""
    import torch

    policy = policy_on(directory, device, "policy.dtype=bfloat16", f"policy.packing={packing}")
    prompts = policy.encode([text for text in ("abcdefgh", "ijk", "lmnop", "q") for _ in range(2)], range(8))
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 512, (8, 24), generator=draw).to(device)
    mask = torch.arange(24, device=device) < torch.randint(1, 25, (8, 1), generator=draw).to(device)
    with torch.no_grad():
        for weight in policy.module.parameters():
            if weight.dim() > 1:  # fresh weights are so small that a token says little about the next
                weight.mul_(5)
    hidden = policy.model.hidden(prompts.ids, prompts.mask, ids, mask)
    logp_tok = policy.model.token_stats(hidden[:, :-1], ids, mask=mask).logp_tok[mask]
    logp_tok.sum().backward()
    gradient = torch.cat([weight.grad.flatten().double() for weight in policy.module.parameters()])
    return logp_tok.detach().float(), gradient


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
    next(updates_of(parts_of(config_for(
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
