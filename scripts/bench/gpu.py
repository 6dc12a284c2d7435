"""First whether a GPU computes what a CPU does, then how fast it samples and trains, at the shapes of real models.

    scripts/gpu_check.sh [--device cuda|cpu] [--tiny] [--only checks,sampling,updates,controller,trl]
                         [--rows REGEX]

Weights are random: a shape needs no download. Shares are of what this device itself reaches in a copy and in a bfloat16
matrix product, measured first. Prompts and responses have HH-RLHF's lengths (``lengths``). On a CPU the peak is the
process's resident set. ``trl`` needs TRL 1.12 beside torch; without it that table says so.
Exit code 1: a check failed; 2: there is no GPU.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

TABLES = ("checks", "sampling", "updates", "controller", "trl")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, measure, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="a toy's size: whether the script itself works")
    parser.add_argument("--only", default=",".join(TABLES), help="tables, with commas between")
    parser.add_argument("--rows", default="", help="only rows of the tables in whose words this regular expression is")
    flags = parser.parse_args(arguments)
    import torch

    from scripts.bench import gpu_checks, gpu_speed
    from scripts.bench.update import make_model

    if flags.device == "cuda" and not torch.cuda.is_available():
        print("gpu_check needs a GPU, and torch sees none here; try --device cpu --tiny", file=sys.stderr)
        return 2
    if flags.device == "cpu":
        torch.set_num_threads(1)
    device = torch.device(flags.device)
    print(torch.cuda.get_device_name() if flags.device == "cuda" else "CPU", f"torch {torch.__version__}", flush=True)
    asked = flags.only.split(",")
    failed = False
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        make_model(directory, prompt=16)
        if "checks" in asked:
            failed = gpu_checks.check(directory, device)
        machine = gpu_speed.Machine.measured(directory, device, flags.tiny, flags.rows)
        for table in ("sampling", "updates", "controller", "trl"):
            if table in asked:
                getattr(gpu_speed, table)(machine)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
