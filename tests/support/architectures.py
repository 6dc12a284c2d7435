"""Small random models of several architectures, with a tokenizer each: what users point ``policy.path`` at."""

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

WORDS = ("<pad>", "<end>", "<unk>", *(f"w{number}" for number in range(60)))
SIZES: dict[str, Any] = {
    "vocab_size": len(WORDS), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 0,
    "eos_token_id": 1, "bos_token_id": 1,
}  # fmt: skip
GPT: dict[str, Any] = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
LLAMA: dict[str, Any] = {"intermediate_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 64}
OWN: dict[str, dict[str, Any]] = {
    "LlamaConfig": LLAMA,
    "MistralConfig": {**LLAMA, "sliding_window": 8},
    "Gemma3TextConfig": {**LLAMA, "head_dim": 8, "sliding_window": 8},
    "MixtralConfig": {**LLAMA, "num_local_experts": 2},
    "GPT2Config": GPT,
    "BloomConfig": {"n_layer": 2, "n_head": 4},
    "OPTConfig": {
        "ffn_dim": 64, "max_position_embeddings": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False,
    },
    "MambaConfig": {},
    "Mamba2Config": {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1},
    "JambaConfig": {
        **LLAMA, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8, "num_experts": 2,
        "use_mamba_kernels": False,
    },
    "DeepseekV3Config": {
        **LLAMA, "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8, "v_head_dim": 12, "first_k_dense_replace": 2,
    },
    "Qwen3NextConfig": {
        **LLAMA, "head_dim": 8, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
        "linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"], "num_experts": 2,
        "num_experts_per_tok": 1, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32,
    },
    "RwkvConfig": {"attention_hidden_size": 32, "context_length": 64},
    "BartConfig": {
        "d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 64, "encoder_layers": 1,
        "encoder_attention_heads": 4, "encoder_ffn_dim": 64, "max_position_embeddings": 64, "is_decoder": True,
        "is_encoder_decoder": False,
    },
    "GraniteConfig": {**LLAMA, "logits_scaling": 4.0},
}  # fmt: skip
"""By the class of its configuration; OPT has the projections of OPT-350m."""


def write(name: str, directory: Path, loader: Any = AutoModelForCausalLM, **changes: Any) -> Path:
    """Weights four times as large as drawn, so that no distribution is near uniform, and the tokenizer."""
    config = getattr(transformers, name)(**{**SIZES, **OWN[name], **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = loader.from_config(config)
    for weight in model.parameters():
        weight.data.mul_(4.0 if weight.ndim > 1 else 1.0)
    model.save_pretrained(directory)
    tokenizer().save_pretrained(directory)
    return directory


def tokenizer() -> PreTrainedTokenizerFast:
    """A word a token."""
    raw = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    raw.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
