"""TRL 1.12's PPOTrainer on the benchmark's model: one update for each line on standard input, its milliseconds out.

Runs in an environment of its own (``scripts.bench.update`` makes it); imports nothing of safelab.
"""

import gc
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback


class OneAtATime(TrainerCallback):
    """Waits for a line before each update and says how long the last one took."""

    def __init__(self, clock) -> None:
        self.clock, self.started = clock, 0.0

    def on_train_begin(self, args, state, control, **more):
        """Before the first update."""
        self.wait()

    def on_step_end(self, args, state, control, **more):
        """After each."""
        print(f"ms {1e3 * (self.clock() - self.started)}", flush=True)
        self.wait()

    def wait(self) -> None:
        """Until a line comes; end with the input."""
        if not sys.stdin.readline().strip():
            sys.exit(0)
        self.started = self.clock()


def main() -> None:
    """Build the trainer and train until the input ends."""
    try:
        from datasets import Dataset
        from trl.experimental.ppo import PPOConfig, PPOTrainer
    except ImportError as error:
        sys.exit(f"trl_worker needs TRL 1.12 ({error}); update.py --trl DIR makes an environment that has it")
    directory, batch, response, epochs, threads, collect, clock = sys.argv[1:8]
    torch.set_num_threads(int(threads))
    if collect == "no":
        gc.collect = lambda *arguments: 0
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False, padding_side="left")
    texts = (Path(directory) / "prompts.txt").read_text().splitlines()
    rows = [{"input_ids": tokenizer(text)["input_ids"]} for text in texts]
    policy = AutoModelForCausalLM.from_pretrained(directory, trust_remote_code=False)
    reference = AutoModelForCausalLM.from_pretrained(directory, trust_remote_code=False)
    value = AutoModelForSequenceClassification.from_pretrained(directory, trust_remote_code=False, num_labels=1)
    reward = AutoModelForSequenceClassification.from_pretrained(
        directory, trust_remote_code=False, num_labels=1, num_hidden_layers=1
    )
    arguments = PPOConfig(
        output_dir=str(Path(directory) / "trl"), per_device_train_batch_size=int(batch), num_mini_batches=1,
        total_episodes=1_000_000, response_length=int(response), num_ppo_epochs=int(epochs), use_cpu=True, bf16=False,
        num_sample_generations=0, report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True,
        gradient_checkpointing=False, local_rollout_forward_batch_size=int(batch), stop_token="eos",
    )  # fmt: skip
    trainer = PPOTrainer(
        args=arguments, processing_class=tokenizer, model=policy,
        ref_model=reference, reward_model=reward, value_model=value,
        train_dataset=Dataset.from_list(rows), eval_dataset=Dataset.from_list(rows[: int(batch)]),
        callbacks=[OneAtATime(time.process_time if clock == "cpu" else time.perf_counter)],
    )  # fmt: skip
    sys.stdout.flush()
    trainer.train()


if __name__ == "__main__":
    main()
