"""What every job of a sweep imports; the fork server imports it once, and each job starts with it in place.

Nothing here may start a thread or touch a GPU: both are lost or broken in the processes forked afterwards.
"""

import torch  # noqa: F401
import transformers.generation
import transformers.models.llama.modeling_llama  # noqa: F401

import safelab.app.config.build
import safelab.app.sweep.run_job
import safelab.training.lifecycle.run  # noqa: F401
