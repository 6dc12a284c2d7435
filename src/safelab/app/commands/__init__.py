"""One file per command of ``safelab``, each with ``main(arguments) -> exit code``.

They never import each other; ``_supervised`` is what three of them share. The one exception is ``reproduce --paper``
(``_paper``), which is ``train`` and then ``report``.
"""

COMMANDS = {
    "train": ("train", "train one run, or many with -m"),
    "report": ("report", "compare runs: tables, figures, one HTML page"),
    "runs": ("runs", "list runs: status, updates, reward, KL, crashes, time left"),
    "watch": ("runs:watch", "the same, redrawn while they run"),
    "sft": ("sft", "stage 1: a base model learns from the better answers of preference pairs"),
    "reward-model": (
        "reward_model",
        "stage 2: a classifier learns which answer is the better one",
    ),
    "value-model": (
        "value_model",
        "DVPO's stage 1: a value after every token, from preference pairs",
    ),
    "evaluate": ("evaluate", "a run's checkpoint on held-out prompts, against where it started"),
    "generate": ("generate", "let a run's policy write"),
    "reproduce": ("reproduce", "run a run again and compare its rows, or --paper NAME: a publication and its numbers"),
    "replay": ("replay", "step a controller over recorded signals, without a model"),
    "audit": ("audit", "which terms of a loss act, and which are only logged"),
    "pretrain": ("pretrain", "make the embedded world (language and reward model) alone"),
}
"""Name -> (module, or module:function where that is not ``main``; one line of help). Imported when it is called."""
