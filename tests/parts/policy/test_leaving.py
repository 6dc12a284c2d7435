"""Rows that leave, rows that are read as one, and prompts that are read apart: each row writes what it writes alone."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from safelab.maths.seeds import row_seeds
from safelab.parts.policy import _decoding, _growing_cache, _prefill, _static_cache
from safelab.parts.policy._static_cache import Reserved, sizes_below
from safelab.parts.policy.causal_lm import CausalLm
from support.architectures import write
from support.models import context

ENDS = (1, 7, 11, 19, 26, 33, 40, 52)
"""One token in eight ends a row, so that rows end at very different columns."""

TEXTS = ["w3 w9 w40 w7 w22 w31 w2 w8 w14 w2", "w5", "w18 w2 w50", "w18 w2 w50", "w18 w2 w50"] * 4
GROUPS = [row // 5 * 5 + min(row % 5, 2) for row in range(20)]
LENGTH = 20
EAGER = {"BloomConfig", "MambaConfig", "Mamba2Config"}
PLAIN = ["LlamaConfig", "GPT2Config", "DeepseekV3Config"]
ALL = [*PLAIN, "MistralConfig", "Gemma3TextConfig", "MixtralConfig", "BloomConfig", "OPTConfig", "MambaConfig",
       "Mamba2Config", "JambaConfig", "Qwen3NextConfig"]  # fmt: skip


def policy(name: str, path: Path, packing: str = "auto") -> Any:
    options = {
        "name": "causal_lm", "path": str(write(name, path)), "dtype": "float32", "compile": False, "packing": packing,
        "attention": "eager" if name in EAGER else "sdpa", "gradient_checkpointing": False, "sharding": "none",
        "prompt_template": "plain",
        "max_prompt_tokens": 16, "sampling_temperature": 1.0, "adapter": {"name": "none", "reference_dtype": None},
    }  # fmt: skip
    found = CausalLm(**options).build(context())
    found.ends = ENDS
    return found


def written(found: Any, texts: list[str], groups: list[int], seeds: list[int], decoding: str) -> list[list[int]]:
    ids, mask = found.generate(found.encode(texts, groups), LENGTH, seeds=seeds, decoding=decoding)
    assert ids.shape[1] == int(mask.sum(dim=1).max())
    assert bool((ids[~mask] == found.texts.pad).all())
    return [row[keep].tolist() for row, keep in zip(ids, mask, strict=True)]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows leave down to a single one, batches this small are read in pieces; the numbers of rows gone on with."""
    seen: list[int] = []
    for module in (_growing_cache, _static_cache):
        monkeypatch.setattr(module, "LEAST_ROWS", 1)
    monkeypatch.setattr(_prefill, "COLUMNS_OF_A_PASS", {"cpu": 1})
    for reading in (_growing_cache.GrowingReading, _static_cache.ReservedReading):

        def keep(self: Any, rows: torch.Tensor, before: Any = reading.keep) -> None:
            seen.append(len(rows))
            before(self, rows)

        monkeypatch.setattr(reading, "keep", keep)
    return seen


def check(found: Any, decoding: str, kept: list[int], leaving: bool = True) -> None:
    seeds = row_seeds(2, rows=len(TEXTS))
    alone = [
        written(found, [text], [0], [seed], decoding="dynamic")[0] for text, seed in zip(TEXTS, seeds, strict=True)
    ]
    assert len({len(row) for row in alone}) > 5
    kept.clear()
    for _ in range(2):  # a cache that stays holds the first rollout's keys in the second
        assert written(found, TEXTS, GROUPS, seeds, decoding) == alone
    assert (len(set(kept)) > 3) == leaving


@pytest.mark.parametrize("name", PLAIN[:1])
@pytest.mark.parametrize("decoding", ["dynamic", "static"])
def test_each_row_writes_what_it_writes_alone(name: str, decoding: str, tmp_path: Path, kept: list[int]) -> None:
    check(policy(name, tmp_path), decoding, kept)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL[1:])
def test_with_every_kind_of_cache_that_grows(name: str, tmp_path: Path, kept: list[int]) -> None:
    check(policy(name, tmp_path), "dynamic", kept)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PLAIN[1:], "MistralConfig", "Gemma3TextConfig", "OPTConfig"])
def test_with_every_kind_of_cache_of_fixed_size(name: str, tmp_path: Path, kept: list[int]) -> None:
    check(policy(name, tmp_path), "static", kept)


@pytest.mark.parametrize("decoding", ["dynamic", "static"])
def test_the_host_asks_in_some_steps_only(
    decoding: str, tmp_path: Path, kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_decoding, "TOKENS_BETWEEN_QUESTIONS", {})
    check(policy("LlamaConfig", tmp_path), decoding, kept, leaving=False)
    assert 0 < len(kept) <= 2 * (LENGTH // _decoding.OTHERWISE)


class Waits(TorchDispatchMode):
    """Counts what a host waits for: a value of a tensor that becomes a number."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("texts", [["w3 w4 w5", "w6"], ["w3 w4", "w5 w6"]])
@pytest.mark.parametrize("decoding", ["dynamic", "static"])
@pytest.mark.parametrize("name", ["LlamaConfig", "MistralConfig"])
def test_a_token_makes_no_host_wait(name: str, decoding: str, texts: list[str], tmp_path: Path) -> None:
    found = policy(name, tmp_path)
    found.ends = (1,)
    prompts = found.encode(texts, [0, 1])
    found.generate(prompts, 2, seeds=[3, 4], decoding=decoding)
    counts = []
    for length in (4, 14):
        with Waits() as waits:
            ids, _ = found.generate(prompts, length, seeds=[3, 4], decoding=decoding)
        assert ids.shape[1] == length
        counts.append(waits.count)
    assert counts[0] == counts[1] > 0


def test_batches_of_many_sizes_share_a_few_graphs() -> None:
    assert sizes_below(64) == [8, 16, 32]
    assert sizes_below(100) == [16, 32, 64]
    assert sizes_below(8) == []


@pytest.mark.slow
def test_a_step_is_compiled_once_for_each_number_of_rows(
    tmp_path: Path, kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs: list[Any] = []

    def compiled(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=compiled))
    found = policy("LlamaConfig", tmp_path)
    # Prompts of other widths, and fewer rows, come back to the same steps: of 20, 16, 8, 4 and 2 rows.
    for texts in (TEXTS, [*TEXTS[1:5] * 5], ["w3 w4"] * 20, TEXTS[:16]):
        groups = list(range(len(texts)))
        seeds = row_seeds(len(texts), rows=len(texts))
        assert written(found, texts, groups, seeds, "compiled") == written(found, texts, groups, seeds, "dynamic")
    assert len(graphs) == 5


class Widths(TorchDispatchMode):
    """The shapes of what is looked up in an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.embedding.default:
            self.shapes.append(tuple(args[1].shape))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("decoding", ["dynamic", "static"])
def test_packing_none_reads_all_prompts_as_they_are_padded(decoding: str, tmp_path: Path, kept: list[int]) -> None:
    texts, groups = TEXTS[:5], GROUPS[:5]
    plain, found = policy("LlamaConfig", tmp_path, packing="none"), policy("LlamaConfig", tmp_path)
    rows, shapes = [], []
    for each in (plain, found):
        written(each, texts, groups, row_seeds(1, rows=5), decoding)  # a cache of fixed size is looked at first
        with Widths() as widths:
            rows.append(written(each, texts, groups, row_seeds(2, rows=5), decoding))
        shapes.append([shape for shape in widths.shapes if shape[1] > 1])
    assert rows[0] == rows[1]
    assert shapes == [[(5, 10)], [(1, 10), (1, 3)]]


@pytest.mark.parametrize(("device", "widths"), [("cpu", [500, 20]), ("meta", [])])
def test_a_pass_more_costs_more_where_it_is_mostly_launches(device: str, widths: list[int]) -> None:
    pieces = _prefill.pieces_of([500, 500, 20, 20], range(4), 500, ragged=True, device=torch.device(device))
    assert [piece.width for piece in pieces] == widths


def test_pieces_cost_least() -> None:
    lengths, alike = [500, 20, 480, 20, 16, 20] * 8, [row - row % 6 + {3: 1}.get(row % 6, row % 6) for row in range(48)]
    gpu = torch.device("meta")
    pieces = _prefill.pieces_of(lengths, alike, 512, ragged=True, device=gpu)
    # 40 rows are different: sixteen of about 500 tokens, twenty-four of about 20.
    assert [(len(piece.rows), piece.width) for piece in pieces] == [(16, 500), (24, 20)]
    assert [len(piece.rows) for piece in _prefill.pieces_of(lengths, alike, 512, ragged=False, device=gpu)] == [40]
    assert _prefill.pieces_of([30, 20, 10], [0, 1, 2], 30, ragged=True, device=gpu) == []


def test_a_reserved_cache_grows_for_more_rows_only(tmp_path: Path) -> None:
    memory = Reserved(policy("LlamaConfig", tmp_path).module, 12, "static")

    def keys(rows: int) -> torch.Tensor:
        mask = torch.ones(rows, 12, dtype=torch.long)
        memory.begin(mask)(mask[:, :4], mask[:, :4].cumsum(1) - 1, 4)
        held: torch.Tensor = memory.cache_of(rows).layers[0].keys
        return held

    # All are held until the end, so that no memory is given out twice.
    first = keys(6)
    again, fewer = keys(6), keys(3)
    assert again.data_ptr() == fewer.data_ptr() == first.data_ptr()
    more, as_before = keys(7), keys(6)
    assert more.data_ptr() == as_before.data_ptr() != first.data_ptr()
