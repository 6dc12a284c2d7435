"""What the run's correction makes of an update: weights before it, and responses left out at each minibatch.

The weights are made once, from the policy before the update; who is left out is asked of the policy as it is now.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from safelab.contracts import Weights
from safelab.contracts.answers import check_tensor, check_type
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.importance import effective_share
from safelab.maths.masked import masked_mean, masked_sum, sequence_mean
from safelab.training.components import Components
from safelab.types import Scored, TrainBatch


def correction_weights(parts: Components, scored: Scored) -> Weights | None:
    """What the correction makes of a rollout whose sampler is not the policy about to be trained."""
    mask, sampled = scored.rollout.mask, scored.rollout.logp_rollout_tok
    if sampled is None:
        return None  # one policy, and its own tokens: each weight would be 1
    weights = parts.correction.weigh(scored.logp_old_tok - sampled, mask)
    if weights is not None:
        check_type("correction", parts.correction, "weigh", weights, Weights)
        check_tensor("correction", parts.correction, "weight_tok", weights.weight_tok, tuple(mask.shape))
        check_tensor("correction", parts.correction, "corrected_tok", weights.corrected_tok, tuple(mask.shape))
    return weights


def dropped_responses(parts: Components, logp_tok: Float[Tensor, "b t"], batch: TrainBatch) -> Bool[Tensor, "b"] | None:
    """The responses of a minibatch that the correction leaves out; None if it leaves out none, whatever they are."""
    log_ratio_tok = logp_tok.detach() - batch.logp_rollout_tok
    dropped_seq = parts.correction.dropped(log_ratio_tok, batch.advantage_seq, batch.mask)
    if dropped_seq is not None:
        check_tensor("correction", parts.correction, "dropped", dropped_seq, (len(batch),))
    return dropped_seq


@torch.no_grad()
def dropped_sums(
    dropped_seq: Bool[Tensor, "b"] | None, logp_tok: Float[Tensor, "b t"], batch: TrainBatch
) -> dict[str, Float[Tensor, ""]]:
    """Sums over a minibatch's responses, from which ``dropped_metrics`` makes means; none where nothing is dropped."""
    if dropped_seq is None:
        return {}
    advantage_seq, drift_seq = batch.advantage_seq, sequence_mean(batch.logp_rollout_tok - logp_tok, batch.mask)
    bad_seq, good_seq = advantage_seq < 0, advantage_seq > 0
    return {
        "bad": bad_seq.to(drift_seq).sum(),
        "good": good_seq.to(drift_seq).sum(),
        "dropped": (dropped_seq & bad_seq).to(drift_seq).sum(),
        "drift_bad": masked_sum(drift_seq, bad_seq),
        "drift_good": masked_sum(drift_seq, good_seq),
        "kept": (~dropped_seq).to(drift_seq).sum(),
        "kept_advantage": masked_sum(advantage_seq, ~dropped_seq),
    }


def dropped_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """Means over the passes of an update, from the sums of all; one over no response is absent."""
    means = {
        "correction/dropped_share": ("dropped", "bad"),
        "correction/drift_bad": ("drift_bad", "bad"),
        "correction/drift_good": ("drift_good", "good"),
        "correction/kept_advantage": ("kept_advantage", "kept"),
    }
    held = {name.removeprefix("correction/"): total for name, total in sums.items() if name.startswith("correction/")}
    return {name: held[what] / held[of] for name, (what, of) in means.items() if held.get(of, 0.0) > 0}


def weight_metrics(scored: Scored, batch: TrainBatch) -> dict[str, Tensor]:
    """How the policy before the update finds another's tokens, and what the correction made of that; at the rollout."""
    if scored.rollout.logp_rollout_tok is None:
        return {}
    mask, advantage_tok = batch.mask, batch.advantage_tok
    ratio_tok = clamp_log_ratio(batch.logp_old_tok - batch.logp_rollout_tok).exp()
    metrics = {
        "correction/ratio_mean": masked_mean(ratio_tok, mask),
        "correction/ratio_min": ratio_tok[mask].min(),
        "correction/ratio_max": ratio_tok[mask].max(),
        "correction/ratio_share": effective_share(ratio_tok, mask),
    }
    if batch.weight_tok is None or batch.corrected_tok is None:
        return metrics
    corrected_tok = batch.corrected_tok
    return {
        **metrics,
        "correction/weight_mean": masked_mean(batch.weight_tok, mask),
        "correction/weight_share": effective_share(batch.weight_tok, mask),
        "correction/corrected_share": masked_mean(corrected_tok.float(), mask),
        "correction/corrected_gain": masked_mean((corrected_tok & (advantage_tok > 0)).float(), mask),
        "correction/corrected_loss": masked_mean((corrected_tok & (advantage_tok < 0)).float(), mask),
    }
