"""AdamW whose two averages are kept in 8 bits, by ``bitsandbytes``: a quarter of their memory in float32.

Each block of 256 values has a scale of its own; small tensors (below 4,096 values, so the critic's) stay in 32 bits.
Ref: Dettmers et al. 2022, arXiv 2110.02861.
"""

from safelab.contracts import Context
from safelab.errors import ConfigError
from safelab.parts.optimizer._adam import AdamFactory, AdamOptions


class Options(AdamOptions):
    """See ``_adam.AdamOptions``."""


def build(options: Options, context: Context) -> AdamFactory:
    """The factory of both optimisers.

    Raises:
        ConfigError: ``bitsandbytes`` is not installed, or does not load here.
    """
    try:
        from bitsandbytes.optim import AdamW8bit
    except (ImportError, OSError) as error:  # the latter: its native library does not fit the machine
        raise ConfigError(
            f"optimizer.name must be adamw here, got adamw_8bit: bitsandbytes does not load ({error}); "
            "pip install 'safelab[eight_bit]'"
        ) from error
    return AdamFactory(options, AdamW8bit)
