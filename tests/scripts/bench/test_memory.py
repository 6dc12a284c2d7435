"""The benchmark of memory at a toy's size, both ways of measuring."""

import io
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.bench import memory

TOY = memory.Case(
    family="llama", width=64, layers=2, vocabulary=2048, overrides=memory.LORA, batch=4, prompt=16, response=16
)


def here(command: list[str], **how: Any) -> SimpleNamespace:
    """A measurement in this process, in place of one of its own: exact enough to see that it is made."""
    assert command[:3] == [sys.executable, "-m", "scripts.bench.memory"]
    with redirect_stdout(io.StringIO()) as said:
        memory.main(command[3:])
    return SimpleNamespace(stdout=said.getvalue())


def test_a_row_has_what_was_foretold_and_what_was_measured(monkeypatch, capsys) -> None:
    monkeypatch.setitem(memory.CASES, "toy", TOY)
    monkeypatch.setattr(memory, "subprocess", SimpleNamespace(run=here, PIPE=None, DEVNULL=None))
    memory.main(["--case", "toy"])
    row = capsys.readouterr().out.splitlines()[-1]
    name, parameters, foretold, measured, ratio, resident = (cell.strip() for cell in row.strip("|").split("|"))
    # Embedding (tied with the head) and, in each layer, q, o; k, v of half the heads; three of the MLP; two norms.
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 192 + 2 * 64
    adapters = 16 * 2 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 192))
    assert (name, int(parameters.replace(",", ""))) == ("toy", 2048 * 64 + 2 * layer + 64)
    assert float(foretold) > 4 * (2048 * 64 + 2 * layer + adapters) / memory.MIB
    assert 0.5 < float(ratio) < 1.5
    assert float(measured) > 0
    float(resident)  # of a process that has done other things before it may be anything


def test_the_micro_batches_are_taken_in_turn(monkeypatch, capsys) -> None:
    found = {"parameters": 1, "foretold": 6.0, "measured": 4.0, "resident": 5.0}
    asked = []
    monkeypatch.setattr(memory, "in_a_process", lambda case: asked.append(case.overrides[-1]) or found)
    memory.main(["--micro-batches"])
    assert asked == [f"optimizer.micro_batch_size={size}" for size in (1, 2, 4, 8)]
    assert "| qwen2 20M, LoRA, micro-batch 8 | 1 | 6 | 4 | 1.50 | 5 |" in capsys.readouterr().out


def test_ragged_prompts_stand_beside_as_many_tokens_of_one_length(tmp_path) -> None:
    ragged, even = memory.ragged_cases().values()
    assert sum(ragged.lengths) == sum(even.lengths)
    assert len(set(ragged.lengths)) > 8
    assert len(set(even.lengths[:-1])) == 1
    assert (ragged.prompt, even.prompt) == (max(ragged.lengths), max(even.lengths))
    memory.make_model(tmp_path, replace(ragged, width=16, layers=1, vocabulary=512))
    assert [len(line) for line in (tmp_path / "prompts.txt").read_text().splitlines()] == list(ragged.lengths)


def test_a_line_that_the_kernel_does_not_know_is_told() -> None:
    assert memory.status("VmRSS") > memory.MIB
    with pytest.raises(SystemExit, match="has no VmNothing"):
        memory.status("VmNothing")
