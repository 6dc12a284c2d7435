"""No normalisation: rewards keep the reward model's own scale."""

from jaxtyping import Float
from torch import Tensor

from safelab.contracts import Normaliser
from safelab.options import State


class Unchanged(Normaliser[State]):
    """Changes nothing."""

    def init(self) -> State:
        """Nothing."""
        return State()

    def step(self, state: State, reward_seq: Float[Tensor, "b"]) -> tuple[State, Float[Tensor, "b"]]:
        """``reward_seq`` itself."""
        return state, reward_seq
