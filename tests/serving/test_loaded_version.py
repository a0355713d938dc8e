import time

import numpy as np

from sagan_tf.serving.loaded_version import LoadedVersion


def test_metadata_of_an_export(exported):
    signatures = LoadedVersion(exported / "1", 1).metadata()["signature_def"]
    inputs = signatures["serving_default"]["inputs"]
    assert {name: tensor["dtype"] for name, tensor in inputs.items()} == {
        "class_id": "DT_INT32",
        "seed": "DT_INT64",
        "truncation": "DT_FLOAT",
    }


def test_the_first_call_is_as_fast_as_the_others(exported):
    """Warmed up, the first call takes at most three times the median.

    Of three loads, since another process may take the core in one; what is not warmed up takes
    seconds in each.
    """
    ratios = []
    for _ in range(3):
        model = LoadedVersion(exported / "1", 1)
        seconds = []
        for seed in range(21):
            inputs = {"class_id": np.array([3], np.int32), "seed": np.array([seed])}
            start = time.perf_counter()
            model.predict("sample", inputs)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / np.median(seconds[1:]))
    assert min(ratios) < 3
