"""What readers of a run are given: its directory, what was published of it, or what ships.

`loading` gives description and weights of a run's directory; of a published `folder`, also on the
Hugging Face Hub (`hub`); or of networks that ship, by their name: `digits`. `initial_weights` are
those that training can begin with. `digits.json` is the `config.json` of a run of the preset of
that name, and `digits.npz` holds its averaged generator and its discriminator.
"""

from sagan_tf.pretrained.initial_weights import init_from
from sagan_tf.pretrained.loading import (
    NAMES,
    description,
    is_name,
    is_run,
    restore,
    scores,
)

__all__ = ["NAMES", "description", "init_from", "is_name", "is_run", "restore", "scores"]
