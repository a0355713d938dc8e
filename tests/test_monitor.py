import json

from sagan_tf import monitor


def test_lines_after_the_checkpoint_are_forgotten(tmp_path):
    path = tmp_path / "metrics.jsonl"
    monitor._forget_after(path, 10)  # nothing there yet
    lines = [json.dumps({"step": step, "generator_loss": 0.5}) for step in (5, 10, 15)]
    path.write_text("\n".join(lines) + '\n{"step": 2')  # killed while writing
    monitor._forget_after(path, 10)
    assert path.read_text().splitlines() == lines[:2]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]
