"""Chunked statistics: the numbers of the plain way, forward and backward, and memory that stays small."""

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from safelab.parts.policy import _vocabulary
from safelab.parts.policy._vocabulary import ChunkedStats, chosen, tokens_per_chunk


class PeakMemory(TorchDispatchMode):
    """Bytes of all tensors that were made inside and still live, at their most."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak, self.seen = 0, 0, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        known = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                if storage.data_ptr() not in known | self.seen:
                    self.add(storage)
        return result

    def add(self, storage) -> None:
        pointer, size = storage.data_ptr(), storage.nbytes()
        self.seen.add(pointer)
        self.live += size
        self.peak = max(self.peak, self.live)

        def gone() -> None:
            self.live -= size
            self.seen.discard(pointer)

        weakref.finalize(storage, gone)


def naive(hidden, ids, head, temperature, reference_logits):
    """Each token by itself in float64."""
    logp = torch.log_softmax(head(hidden).double() / temperature, dim=-1)
    q = torch.log_softmax(reference_logits.double() / temperature, dim=-1)
    chosen = torch.stack([row[index] for row, index in zip(logp, ids.tolist(), strict=True)])
    entropy = torch.stack([-(row.exp() * row).sum() for row in logp])
    kl = torch.stack([(row.exp() * (row - other)).sum() for row, other in zip(logp, q, strict=True)])
    return chosen, entropy, kl


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("terms", [(0,), (1,), (2,), (0, 1, 2)])
def test_values_and_gradients_are_those_of_a_naive_float64_pass(temperature, bias, terms, monkeypatch) -> None:
    monkeypatch.setattr(_vocabulary, "SMALL", 1)  # so that 37 tokens are pieces of 3
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 11, bias=bias)
    hidden, hidden_ref = 2 * torch.randn(37, 6), 2 * torch.randn(37, 6)
    ids, weights = torch.randint(11, (37,)), torch.randn(3, 37)
    reference_logits = head(hidden_ref).detach()

    def gradients(columns, start):
        loss = sum((columns[term] * weights[term].to(columns[term].dtype)).sum() for term in terms)
        return torch.autograd.grad(loss, [start, *head.parameters()])

    exact = hidden.clone().requires_grad_()
    expected = naive(exact, ids, head, temperature, reference_logits)
    mine = hidden.clone().requires_grad_()

    def log_q(rows):
        return torch.log_softmax(head(rows).detach() / temperature, dim=-1)

    found = ChunkedStats.apply(mine, ids, head, temperature, (log_q, hidden_ref), *head.parameters())
    for value, truth in zip(found[:3], expected, strict=True):
        assert torch.allclose(value.double(), truth, atol=1e-5)
    for value, truth in zip(gradients(found, mine), gradients(expected, exact), strict=True):
        assert torch.allclose(value, truth, atol=1e-5, rtol=1e-5)


def test_the_gradient_in_the_logits_is_a_sum_of_squares_in_pieces_too(monkeypatch) -> None:
    """Also of a token that is all but certain, where 1 - 2 p + sum p^2 would be lost in rounding."""
    head = torch.nn.Linear(6, 11)
    hidden, ids = 2 * torch.randn(37, 6), torch.randint(11, (37,))
    with torch.no_grad():
        hidden[0] *= 40
        ids[0] = head(hidden[0]).argmax()
    whole = _vocabulary.logit_gradient(head, hidden, ids, 0.7)
    monkeypatch.setattr(_vocabulary, "SMALL", 1)
    p = torch.softmax(head(hidden).double() / 0.7, dim=-1)
    truth = 1 - 2 * p[torch.arange(37), ids] + p.square().sum(dim=-1)
    assert torch.allclose(_vocabulary.logit_gradient(head, hidden, ids, 0.7), whole)
    assert torch.allclose(whole.double(), truth, atol=1e-6)
    assert (whole >= 0).all()


def test_a_frozen_head_gets_no_gradient_and_the_hidden_states_do(monkeypatch) -> None:
    monkeypatch.setattr(_vocabulary, "SMALL", 1)
    head = torch.nn.Linear(4, 9, bias=False).requires_grad_(False)
    hidden = torch.randn(20, 4, requires_grad=True)
    logp, *_ = ChunkedStats.apply(hidden, torch.randint(9, (20,)), head, 1.0, None, *head.parameters())
    logp.sum().backward()
    assert head.weight.grad is None
    assert hidden.grad.abs().sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize("with_kl", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_peak_memory_is_below_the_bfloat16_logits(dtype, with_kl) -> None:
    tokens, vocabulary, width = 2048, 8192, 16
    assert tokens_per_chunk(tokens, vocabulary) < tokens
    head = torch.nn.Linear(width, vocabulary, bias=False, dtype=dtype).requires_grad_(False)
    hidden = torch.randn(tokens, width, dtype=dtype, requires_grad=True)
    ids = torch.randint(vocabulary, (tokens,))

    def log_q(rows):
        return torch.log_softmax(head(rows).float(), dim=-1)

    with PeakMemory() as memory:
        reference = (log_q, hidden.detach()) if with_kl else None
        logp, entropy, kl, _ = ChunkedStats.apply(hidden, ids, head, 1.0, reference, *head.parameters())
        ((logp + entropy + kl).sum() if with_kl else (logp + entropy).sum()).backward()
    logits = 2 * tokens * vocabulary
    assert memory.peak < 1.2 * logits
    with PeakMemory() as plain:
        torch.log_softmax(head(hidden).float(), dim=-1).exp().sum().backward()
    assert plain.peak > 3 * logits  # the measuring itself sees what it should


def test_some_tokens_are_read_in_pieces_as_at_once(monkeypatch) -> None:
    torch.manual_seed(0)
    head, ids = torch.nn.Linear(6, 11), torch.randint(11, (37, 4))
    found = []
    for small in (2**20, 1):
        monkeypatch.setattr(_vocabulary, "SMALL", small)
        hidden = torch.linspace(-1, 1, 222).reshape(37, 6).requires_grad_()
        head.zero_grad()
        logp = chosen(head, hidden, ids, 0.7)
        (logp * torch.arange(4)).sum().backward()
        found.append((logp.detach(), hidden.grad, head.weight.grad.clone()))
    expected = torch.log_softmax(head(hidden) / 0.7, dim=-1).gather(-1, ids).detach()
    torch.testing.assert_close(found[0][0], expected)
    for whole, pieced in zip(*found, strict=True):
        torch.testing.assert_close(pieced, whole)
