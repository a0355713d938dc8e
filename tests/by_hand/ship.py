"""Writes a finished run's averaged generator and discriminator as files that ship.

python -m tests.by_hand.ship runs/digits digits

`sagan_tf/pretrained` gets `digits.json`, the run's `config.json`, and `digits.npz`, its weights.
"""

import shutil
import sys
from pathlib import Path

import numpy as np

from sagan_tf import pretrained, sampling
from sagan_tf.models import Discriminator
from sagan_tf.pretrained.loading import STEP


def ship(workdir, name):
    """Writes both files; float32, as the checkpoint has them."""
    discriminator = Discriminator.from_config(pretrained.description(workdir)["discriminator"])
    discriminator.build()
    generator, step = sampling.restore_generator(workdir)
    assert pretrained.restore(workdir, discriminator) == step
    variables = [*generator.variables, *discriminator.variables]
    weights = {variable.path: variable.numpy() for variable in variables}
    folder = Path(pretrained.__file__).parent
    np.savez_compressed(folder / f"{name}.npz", **weights, **{STEP: step})
    shutil.copy(Path(workdir) / "config.json", folder / f"{name}.json")


if __name__ == "__main__":
    ship(Path(sys.argv[1]), sys.argv[2])
