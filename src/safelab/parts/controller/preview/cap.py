"""A cap on the KL that one update causes: measured after the steps, which are scaled back to the cap.

    theta <- theta_old + s (theta_new - theta_old),   s = min(1, cap / KL(old || new))

KL grows about as s^2 for small steps, so the scaled update stays below the cap.
Ref: SAFE's released ``preview_kl`` hook (cap 0.5), which its trainer never calls.
"""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Preview


class Cap(Preview):
    """``max_kl``: nats per response token, from the policy before the update to the one after."""

    max_kl: Annotated[float, Field(gt=0)]

    def limit(self) -> float:
        """``max_kl``."""
        return self.max_kl
