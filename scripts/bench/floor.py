"""What an update cannot do without, as bare as torch and transformers allow, on tokens alone: no position is padding.

A decoding loop, one reference pass, and two forward and backward passes with AdamW. Imports nothing of safelab, so
that it stands still while safelab changes. Rows of one length are one batch. Rows of several lengths lie one after
another in a single row ``[1, N]``, and attention takes each by itself: on two cores that was the fastest of the ways
tried (rows one by one, two to eight padded groups of rows of about one length). In the decoding loop rows leave as
they end; there the keys are padded, which costs a few per cent of a step at most.
"""

from collections.abc import Sequence
from pathlib import Path

EPOCHS = 2


class Floor:
    """Random prompts of those lengths, and responses of those lengths.

    Args:
        directory: of the model.
        prompts: tokens of each row's prompt.
        answers: tokens of each row's response, in any order.
    """

    def __init__(self, directory: Path, prompts: Sequence[int], answers: Sequence[int]) -> None:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        # The longest response first, so that those that still run are the first rows of the cache.
        self.answers = sorted(answers, reverse=True)
        self.sizes: list[int] = []
        ALL_ATTENTION_FUNCTIONS.register("row_by_row", self.attention)
        self.model = AutoModelForCausalLM.from_pretrained(
            directory, attn_implementation="row_by_row", trust_remote_code=False
        ).eval()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, foreach=True)
        draw = torch.Generator().manual_seed(0)
        self.prompts = [torch.randint(2, self.model.config.vocab_size, (size,), generator=draw) for size in prompts]

    def attention(self, module, query, key, value, mask, scaling=None, dropout=0.0, **more):
        """``ALL_ATTENTION_FUNCTIONS``'s: causal, of each of ``sizes`` by itself; of whole rows where there are none."""
        import torch
        from torch.nn.functional import scaled_dot_product_attention as attend

        if not self.sizes:
            causal = mask is None and query.shape[2] > 1
            return attend(query, key, value, mask, is_causal=causal, scale=scaling).transpose(1, 2), None
        rows = zip(*(states.split(self.sizes, dim=2) for states in (query, key, value)), strict=True)
        heads = [attend(*row, is_causal=True, scale=scaling) for row in rows]
        return torch.cat(heads, dim=2).transpose(1, 2), None

    def read(self, rows: list, cache=None):
        """Last hidden states of all tokens ``[N, d]``, row after row."""
        import torch

        sizes = [len(row) for row in rows]
        if len(set(sizes)) == 1:
            ids, positions = torch.stack(rows), torch.arange(sizes[0]).unsqueeze(0)
        else:
            ids = torch.cat(rows).unsqueeze(0)
            positions = torch.cat([torch.arange(size) for size in sizes]).unsqueeze(0)
            self.sizes = sizes
        try:
            output = self.model.model(
                input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=cache is not None
            )
        finally:
            self.sizes = []
        return output.last_hidden_state.flatten(0, 1)

    def prefill(self):
        """The last hidden state of each prompt, and a cache with the prompts' keys on its right, padded on the left."""
        import torch
        from transformers import DynamicCache

        cache = DynamicCache(config=self.model.config)
        sizes = [len(row) for row in self.prompts]
        last = self.read(self.prompts, cache)[torch.tensor(sizes).cumsum(0) - 1]
        if len(set(sizes)) == 1:
            return last, cache
        padded, longest = DynamicCache(config=self.model.config), max(sizes)
        for index, layer in enumerate(cache.layers):
            pair = []
            for states in (layer.keys, layer.values):
                block = states.new_zeros(len(sizes), states.shape[1], longest, states.shape[3])
                for row, mine in enumerate(states[0].split(sizes, dim=1)):
                    block[row, :, longest - mine.shape[1] :] = mine
                pair.append(block)
            padded.update(*pair, index)
        return last, padded

    def decode(self) -> list:
        """Write the responses; prompt and response of each row."""
        import torch

        with torch.no_grad():
            sizes = torch.tensor([len(row) for row in self.prompts])
            longest, count = int(sizes.max()), len(sizes)
            held = torch.arange(longest + self.answers[0]) >= (longest - sizes).unsqueeze(1)
            mask = None if held.all() else held[:, None, None, :]
            hidden, cache = self.prefill()
            written: list = []
            for step in range(self.answers[0]):
                tokens = torch.multinomial(torch.softmax(self.model.lm_head(hidden).float(), dim=-1), 1)
                written.append(tokens)
                running = sum(answer > step + 1 for answer in self.answers)
                if not running:
                    break
                if running < count:
                    count = running
                    for layer in cache.layers:
                        layer.keys, layer.values = layer.keys[:count], layer.values[:count]
                output = self.model.model(
                    input_ids=tokens[:count],
                    attention_mask=None if mask is None else mask[:count, :, :, : longest + step + 1],
                    position_ids=sizes[:count].unsqueeze(1) + step,
                    past_key_values=cache,
                    use_cache=True,
                )
                hidden = output.last_hidden_state[:, -1]
            responses = [
                torch.cat([column[row] for column in written[:answer]]) for row, answer in enumerate(self.answers)
            ]
            return [torch.cat(row) for row in zip(self.prompts, responses, strict=True)]

    def logp(self, rows: list):
        """Log-probability of every response token; the head sees no other column."""
        import torch

        hidden, keep, start = self.read([row[:-1] for row in rows]), [], 0
        for row, answer in zip(rows, self.answers, strict=True):
            start += len(row) - 1
            keep.append(torch.arange(start - answer, start))
        said = torch.cat([row[-answer:] for row, answer in zip(rows, self.answers, strict=True)])
        logits = self.model.lm_head(hidden[torch.cat(keep)])
        return torch.log_softmax(logits.float(), dim=-1).gather(-1, said.unsqueeze(-1))

    def update(self) -> None:
        """One update."""
        import torch

        rows = self.decode()
        with torch.no_grad():
            self.logp(rows)
        for _ in range(EPOCHS):
            self.optimizer.zero_grad(set_to_none=True)
            (-self.logp(rows).mean()).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
