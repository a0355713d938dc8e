"""The parts that a GPU is tried with, on the CPU: they work on the day that there is one."""

from tests.by_hand import gpu_smoke


def test_parts_find_what_they_should_on_a_cpu(capsys):
    found = gpu_smoke.smoke("cpu", small=True, only=["environment", "numbers", "deterministic"])
    assert found["environment"]["device"].startswith("CPU, ")
    assert found["numbers"]["ok"], found["numbers"]
    differences = [found["numbers"][f"{name}: difference"] for name in ("float32", "TF32", "XLA")]
    assert all(0 < difference < 3e-6 for difference in differences)  # from those in float64
    assert differences[0] == differences[1] != differences[2]  # XLA's was another program
    assert capsys.readouterr().out.count(" ok ") == 3


def test_what_hangs_or_breaks_hides_nothing(capsys):
    found = gpu_smoke.smoke("cpu", small=True, only=["memory"], limit=0.5)
    assert not found["memory"]["ok"]
    assert found["memory"]["error"] == "not done after 0.5 s"
    found = gpu_smoke.smoke("gpu", small=True, only=["environment"])  # there is none here
    assert not found["environment"]["ok"]
    assert "--device=gpu" in found["environment"]["error"]
