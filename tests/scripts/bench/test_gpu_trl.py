"""TRL beside ours, where TRL is."""

from scripts.bench import gpu_trl


def test_without_trl_its_table_says_so(monkeypatch) -> None:
    monkeypatch.setattr(gpu_trl, "find_spec", lambda name: None)
    assert gpu_trl.compare(None, "Qwen2.5-0.5B", 32) == "TRL is not here | | "
