"""What readers of a run are given: a run's directory, or the name of networks that ship: `digits`.

`loading` gives the description and the weights of either. `digits.json` is the `config.json` of a
run of the preset of that name, and `digits.npz` holds its averaged generator and its discriminator.
"""

from sagan_tf.pretrained.loading import NAMES, description, is_name, restore

__all__ = ["NAMES", "description", "is_name", "restore"]
