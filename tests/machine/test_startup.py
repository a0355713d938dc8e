"""What importing TensorFlow for a command leaves behind."""

import gc

from sagan_tf.machine import startup


def test_garbage_is_searched_again_but_not_what_was_imported():
    before = gc.get_freeze_count()
    kept = [[] for _ in range(1000)]
    startup.import_tensorflow()
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)
