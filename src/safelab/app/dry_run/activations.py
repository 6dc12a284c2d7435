"""What autograd keeps of a forward pass, counted on torch's meta device, where nothing is computed."""

from typing import Any


def activations(module: Any, rows: int, tokens: int, checkpointing: bool) -> tuple[int, int]:
    """Bytes that autograd keeps of a forward pass, and what comes back for a while in the backward pass.

    With checkpointing that is the layers' inputs, and all that one layer keeps while it is computed again.
    """
    import torch

    from safelab.pretrained.heads import backbone

    ids = torch.zeros(rows, tokens, dtype=torch.long, device="meta")
    # Given whole, for the making of a mask reads values, which the meta device has none of.
    mask = torch.ones(rows, 1, tokens, tokens, dtype=torch.bool, device="meta")
    weights = {weight.untyped_storage()._cdata for weight in module.parameters()}
    kept: dict[int, tuple[Any, int]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = (storage, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = backbone(module)(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    whole = sum(size for _, size in kept.values())
    if not checkpointing:
        return whole, 0
    layers = module.config.num_hidden_layers
    return int(layers * hidden.untyped_storage().nbytes()), whole // layers


def fused_attention() -> str:
    """The name of an attention that keeps for its backward pass what the fused kernels keep, and computes nothing.

    On the meta device ``sdpa`` takes the plain way, which keeps its scores and scaled copies besides.
    """
    import torch
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import repeat_kv

    class Kept(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
            batch, heads, tokens, size = query.shape
            out = query.new_empty(batch, tokens, heads, size)
            normaliser = query.new_empty(batch, heads, tokens, dtype=torch.float32)
            # With padding the mask becomes a bias in the queries' type, in every layer.
            bias = query.new_empty(batch, 1, tokens, tokens)
            ctx.save_for_backward(query, key, value, out, normaliser, bias)
            return out

    def attend(module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> tuple[Any, None]:
        groups = getattr(module, "num_key_value_groups", 1)
        return Kept.apply(query, repeat_kv(key, groups), repeat_kv(value, groups)), None  # type: ignore[no-untyped-call]

    AttentionInterface.register("dry_run", attend)
    return "dry_run"
