"""Between which values a metric lies by what it is: shares, and what is never negative. Its interval stays there.

A reward has no bounds that could be known here: it is whatever a reward model says.
"""

SHARES = frozenset(
    {
        "response/eos_rate", "response/distinct_rate", "response/repeat_rate",
        "policy/clip_fraction", "reward/clip_fraction", "correction/corrected_share",
        "correction/corrected_gain", "correction/corrected_loss", "correction/dropped_share",
        "correction/ratio_share", "correction/weight_share",
        "preference/accuracy", "preference/clip_fraction", "preference/weight_share",
        "triage/agreement", "triage/agreement_retain", "triage/agreement_invert", "triage/agreement_punish",
        "triage/weight_share",
        "objective/weight_clipped", "objective/blocked_gain", "objective/group_share", "objective/drawn",
        "objective/pulled", "objective/gate", "objective/gate_gain", "objective/gain_share", "objective/silent",
        "objective/response_gain_share", "objective/reversed", "objective/support_mass", "objective/target_shift",
        "objective/clipped_gain", "objective/clipped_loss", "advantage/tail_share",
        "controller/active", "controller/preview_scale", "adapter/mass_kept", "kl/topk_mass",
        "objective/ties", "objective/accuracy", "gradient_penalty/clipped",
        "rollout/equal_share", "rollout/filler_share",
        "oracle/share_mean", "oracle/tie_share", "oracle/trimmed_share",
    }
)  # fmt: skip
"""From 0 to 1."""

NOT_NEGATIVE = frozenset(
    {
        "kl/ref_token_exact", "kl/ref_token_k3", "kl/old_token_k3", "kl/rollout_token_k3",
        "kl/rollout_token_abs", "kl/anchor_token_exact", "correction/weight_mean", "correction/ratio_mean",
        "correction/ratio_min", "correction/ratio_max",
        "policy/entropy_token", "policy/ratio_mean", "policy/ratio_max", "policy/grad_norm", "policy/lr",
        "policy/epochs", "policy/anchor_distance", "policy/anchor_moved", "policy/step_norm",
        "objective/divergence", "objective/divergence_max", "objective/response_weight",
        "objective/response_weight_gain", "objective/ratio_variance", "objective/multiplier", "objective/prefix_ratio",
        "objective/sequence_ratio", "objective/target_ratio", "objective/bound_low", "objective/bound_high",
        "objective/offset_before", "objective/offset_after", "objective/unevenness_before",
        "objective/unevenness_after", "advantage/baseline_spread", "advantage/weighted_square",
        "critic/error_ratio", "critic/head_gap", "critic/grad_norm", "controller/gate", "reward/std",
        "response/length_mean", "guard/rollbacks", "guard/kl_coef_scale",
        "adapter/rank_mean", "adapter/rank_min", "adapter/rank_max",
        "preference/invert_loss", "preference/punish_loss", "preference/retain_loss", "preference/retain_kl",
        "triage/retain", "triage/invert", "triage/punish",
        "gradient_penalty/norm", "gradient_penalty/norm_after", "gradient_penalty/share", "gradient_penalty/moved",
        "rollout/further", "oracle/votes", "objective/score_margin",
    }
)  # fmt: skip
"""From 0 on. The estimator k1 is not among them: it may be negative."""

CLOCKED = ("time/", "speed/", "memory/")
"""How the names of times, speeds and memory begin, which are not negative either."""

AT_MOST_ONE = frozenset({"critic/explained_variance"})

Bounds = tuple[float | None, float | None]
"""The least and the greatest value; None: there is none."""


def bounds_of(column: str) -> Bounds:
    """Between which values a metric of the log lies."""
    if column in SHARES:
        return 0.0, 1.0
    if column in AT_MOST_ONE:
        return None, 1.0
    return (0.0 if column in NOT_NEGATIVE or column.startswith(CLOCKED) else None), None
