"""A LoRA checkpoint as the start of a further run: what it learnt is there, in start, reference and what is saved."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from safelab.errors import ConfigError
from safelab.parts.policy.causal_lm import CausalLm
from safelab.parts.reward.sequence_classifier import SequenceClassifier
from safelab.pretrained.adapters import classifier
from safelab.pretrained.load import Source
from safelab.runlog.model_card import loading
from safelab.supervised.saving import save
from support.lessons import lesson, options
from support.models import context, model_directory, tiny_policy

LORA = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}
IDS = torch.tensor([[3, 4, 5, 9]])


def policy(path: Path, adapter=LORA, dtype: str = "float32"):
    return CausalLm(
        name="causal_lm", path=str(path), dtype=dtype, attention="sdpa", packing="auto",
        gradient_checkpointing=False, sharding="none", compile=False,
        prompt_template="plain", max_prompt_tokens=16, sampling_temperature=1.0, adapter=dict(adapter),
    ).build(context())  # fmt: skip


def logits(policy) -> torch.Tensor:
    with torch.no_grad():
        return policy._adapted.inner(input_ids=IDS).logits


def learnt(policy, directory: Path) -> Path:
    """The policy, moved as if it had been trained, and saved."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in policy.module.named_parameters():
            if "lora_" in name:
                weight.add_(0.2 * torch.randn(weight.shape, generator=draws))
    policy.save(directory)
    return directory


def test_stage_two_starts_where_stage_one_ended_and_measures_from_there(tmp_path: Path) -> None:
    first = tiny_policy(**LORA)
    plain = logits(first)
    path = learnt(first, tmp_path / "one")
    assert float((logits(first) - plain).abs().max()) > 0.1
    second = policy(path)
    assert torch.allclose(logits(second), logits(first), atol=1e-5)
    with torch.no_grad(), second._adapted.as_reference():
        assert torch.allclose(second._adapted.reference(input_ids=IDS).logits, logits(first), atol=1e-5)
    whole = policy(path, {"name": "none", "reference_dtype": None})
    assert torch.allclose(logits(whole), logits(first), atol=1e-5)
    assert all(weight.requires_grad for weight in whole.module.parameters())


@pytest.mark.filterwarnings("error")
def test_stages_are_made_and_saved_without_a_warning(tmp_path: Path) -> None:
    second = policy(learnt(tiny_policy(**LORA), tmp_path / "one"))
    learnt(policy(learnt(second, tmp_path / "two")), tmp_path / "three")


def test_the_cards_lines_load_stage_three_with_no_help_of_ours(tmp_path: Path) -> None:
    path = learnt(tiny_policy(**LORA), tmp_path / "one")
    second = policy(path)
    path = learnt(second, tmp_path / "two")
    assert json.loads((path / "adapter_config.json").read_text())["base_model_name_or_path"] == str(tmp_path / "one")
    third = policy(path)
    assert torch.allclose(logits(third), logits(second), atol=1e-5)
    path = learnt(third, tmp_path / "three")
    lines = loading("peft", str(tmp_path / "two"))
    assert lines.count("merge_and_unload") == 2
    space: dict = {"DIRECTORY": str(path)}
    exec(lines, space)
    with torch.no_grad():
        assert torch.allclose(space["model"].eval()(input_ids=IDS).logits, logits(third), atol=1e-5)


def test_a_merge_is_rounded_once(tmp_path: Path) -> None:
    first = tiny_policy(**LORA)
    path = learnt(first, tmp_path / "one")
    merged = dict(policy(path, {"name": "none", "reference_dtype": None}).module.named_parameters())
    for name, weight in policy(path, {"name": "none", "reference_dtype": None}, "bfloat16").module.named_parameters():
        assert torch.equal(weight, merged[name].to(torch.bfloat16))


def test_a_base_that_is_gone_and_an_adapter_that_does_not_fit_are_told(tmp_path: Path) -> None:
    path = learnt(tiny_policy(**LORA), tmp_path / "one")
    file = path / "adapter_config.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "base_model_name_or_path": str(tmp_path / "gone")}))
    with pytest.raises(ConfigError, match=r"policy\.path must be .* got '.*gone'.*it is the base of '.*one'"):
        policy(path)
    file.write_text(json.dumps({**said, "base_model_name_or_path": str(path)}))
    with pytest.raises(ConfigError, match="its adapter names itself as its base"):
        policy(path)
    file.write_text(json.dumps({**said, "target_modules": ["q_proj"]}))
    with pytest.raises(ConfigError, match=r"its adapter_config\.json and its adapter_model\.safetensors differ in"):
        policy(path)
    file.write_text(json.dumps({**said, "peft_type": "IA3", "feedforward_modules": []}))
    with pytest.raises(ConfigError, match="must be whole weights or a LoRA adapter"):
        policy(path)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A language model's adapter, and reward models as adapters on whole weights and on that one."""
    folder = tmp_path_factory.mktemp("stages")
    made: dict[str, Path] = {}
    for name, kind, model in (
        ("sft", "sft", model_directory()),
        ("plain", "reward_model", model_directory()),
        ("chain", "reward_model", folder / "sft"),
    ):
        learner = lesson(kind, model=str(model), adapter=dict(LORA))
        draws = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for weight in learner.model.parameters():
                if weight.requires_grad:
                    weight.add_(0.2 * torch.randn(weight.shape, generator=draws))
        rows = {"before": {}, "after": {}, "pairs": 1, "pairs_held_out": 1, "safelab": "x"}
        chosen = options(kind, model=str(model), adapter=dict(LORA))
        save(learner, folder / name, name, {**rows, "config": chosen.model_dump()}, [])
        made[name] = folder / name
    return made


@pytest.mark.parametrize("name", ["plain", "chain"])
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_a_reward_models_adapter_scores_as_the_cards_lines_do(stages, name: str) -> None:
    reward = SequenceClassifier(
        name="sequence_classifier", path=str(stages[name]), label=0, squash="none", template="plain", dtype="float32",
        max_tokens=64, batch_size=4, trust_remote_code=False,
    ).build(context())  # fmt: skip
    texts = ["a b good", "c bad", "d e f good"]
    mine = reward.score(["", "", ""], texts, [True] * 3)
    card = (stages[name] / "README.md").read_text()
    space: dict = {"DIRECTORY": str(stages[name])}
    exec(card.split("```python\n")[1].split("```")[0], space)
    with torch.no_grad():
        inputs = space["tokenizer"](texts, return_tensors="pt", padding=True, padding_side="right")
        theirs = space["model"].eval()(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    assert torch.allclose(torch.tensor(mine), theirs[:, 0], atol=1e-5)
    assert len(set(mine)) == 3


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_a_reward_models_adapter_loads_by_pefts_own_class(stages) -> None:
    from peft import AutoPeftModelForSequenceClassification

    theirs = AutoPeftModelForSequenceClassification.from_pretrained(stages["plain"], num_labels=1).eval()
    source = Source("reward.path", str(stages["plain"]), "of a classifier", "give one")
    mine, missing = classifier(AutoModelForSequenceClassification, source, dtype=torch.float32)
    assert not missing
    with torch.no_grad():
        assert torch.allclose(mine.eval()(input_ids=IDS).logits, theirs(input_ids=IDS).logits, atol=1e-5)


def test_a_head_must_be_there_and_a_classifier_is_no_policy(stages) -> None:
    source = Source("reward.path", str(stages["sft"]), "of a classifier", "give one")
    with pytest.raises(ConfigError, match=r"neither it nor its base has score\.weight, which would be random"):
        classifier(AutoModelForSequenceClassification, source, dtype=torch.float32)
    with pytest.raises(ConfigError, match=r"policy\.path must be .*: its adapter is a classifier's"):
        policy(stages["plain"])


def test_bases_are_written_as_absolute_paths(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(model_directory().parent)
    chosen = options("sft", model=model_directory().name, adapter=dict(LORA))
    record = {"config": chosen.model_dump(), "before": {}, "after": {}, "pairs": 1, "pairs_held_out": 1, "safelab": "x"}
    save(lesson("sft", model=model_directory().name, adapter=dict(LORA)), tmp_path / "made", "sft", record, [])
    said = json.loads((tmp_path / "made" / "adapter_config.json").read_text())
    assert said["base_model_name_or_path"] == str(model_directory())
    assert f"base_model: {json.dumps(str(model_directory()))}" in (tmp_path / "made" / "README.md").read_text()


def test_an_adapter_without_a_tokenizer_has_its_bases(stages, tmp_path: Path) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(stages["sft"] / name, tmp_path)
    assert policy(tmp_path).vocabulary() == policy(stages["sft"]).vocabulary()


@pytest.mark.filterwarnings("error")
def test_another_kind_of_adapter_is_one_message(tmp_path: Path) -> None:
    said = {"peft_type": "IA3", "base_model_name_or_path": str(model_directory()), "task_type": "CAUSAL_LM"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(said))
    with pytest.raises(ConfigError, match=r"must be whole weights or a LoRA adapter .* an adapter of kind IA3"):
        policy(tmp_path)
