"""Shapes of models that presets name (from their published ``config.json``): a dry run needs neither files nor hub."""

from typing import Any

PYTHIA: dict[str, Any] = {
    "model_type": "gpt_neox", "max_position_embeddings": 2048, "rotary_pct": 0.25, "use_parallel_residual": True,
    "layer_norm_eps": 1e-5, "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 0, "vocab_size": 50304,
}  # fmt: skip
"""What the Pythia models share. Ref: EleutherAI/pythia, ``models/*/*.yml``; the hub's pythia-410m, ``config.json``."""

PYTHIA_70M = {
    **PYTHIA, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6, "num_attention_heads": 8,
}  # fmt: skip
PYTHIA_410M = {
    **PYTHIA, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
}  # fmt: skip
PYTHIA_1B = {
    **PYTHIA, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 8,
}  # fmt: skip
PYTHIA_1_4B = {
    **PYTHIA, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "num_attention_heads": 16,
}  # fmt: skip

SHAPES: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-3B": {
        "model_type": "qwen2", "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
        "num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
        "max_position_embeddings": 32768,
    },
    "Qwen/Qwen2.5-0.5B": {
        "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
        "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
        "max_position_embeddings": 32768,
    },
    "Qwen/Qwen2-7B": {
        "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
        "max_position_embeddings": 131072,
    },
    "meta-llama/Llama-3.2-1B": {
        "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": True,
        "max_position_embeddings": 131072,
    },
    "lvwerra/gpt2-imdb": {
        "model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257,
    },
    "mnoukhov/pythia410m-sft-tldr": PYTHIA_410M,
    "cleanrl/EleutherAI_pythia-1b-deduped__sft__tldr": PYTHIA_1B,
    # Its vocabulary was cut to the tokens in use: config.json on the hub.
    "tlc4418/pythia_1.4b_sft_policy": {**PYTHIA_1_4B, "vocab_size": 50288},
}  # fmt: skip
"""By the hub's names."""

CLASSIFIERS: dict[str, dict[str, Any]] = {
    "mnoukhov/pythia410m-rm-tldr6.9b": PYTHIA_410M,
    "cleanrl/EleutherAI_pythia-1b-deduped__reward__tldr": PYTHIA_1B,
}
"""Of reward models, which a value network starts from."""
