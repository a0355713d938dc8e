"""Lets Keras load saved models that use this package after `import sagan_tf` alone.

Keras looks up a saved class in its registry, and imports only its own modules to find it. Importing
our layers with the package would import TensorFlow, which would delay `--help` and the REST client
by seconds. So the registry gets stand-ins, which import a class when a model with it is loaded.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

# Every class that a saved model may contain, by the module that defines and registers it.
CLASSES = {
    "sagan_tf.layers.conditional_batch_norm": ("ConditionalBatchNormalization",),
    "sagan_tf.layers.resampling": ("SpectralConv2DMeanPool", "SpectralUpsampleConv2D"),
    "sagan_tf.layers.residual_bottleneck": ("ResidualBottleneck2D",),
    "sagan_tf.layers.self_attention": ("SelfAttention2D",),
    "sagan_tf.layers.spectral_norm": ("SpectralConv2D", "SpectralDense", "SpectralEmbedding"),
    "sagan_tf.models.discriminator": ("Discriminator",),
    "sagan_tf.models.generator": ("Generator",),
    "sagan_tf.training.fused_adam": ("FusedAdam",),
    "sagan_tf.training.regularization": ("Regularization",),
    "sagan_tf.training.trainer": ("SAGAN",),
}


class StandIn:
    """Takes a class's place in Keras' registry until its module is imported and registers it."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def from_config(self, config: dict[str, Any]) -> Any:
        """Imports the class and makes the object with the class's own `from_config`."""
        return getattr(importlib.import_module(self.module), self.name).from_config(config)


def register() -> None:
    """Fills Keras' registry: now if Keras has been imported, else as soon as it is imported."""
    if sys.modules.get("keras") is not None:
        _add_stand_ins(sys.modules["keras"])
    else:
        sys.meta_path.insert(0, _KerasImport())


def _add_stand_ins(keras: ModuleType) -> None:
    registry = keras.saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            registry.setdefault(f"sagan_tf>{name}", StandIn(module, name))


class _KerasImport(importlib.abc.MetaPathFinder):
    """Adds the stand-ins right after Keras is imported, whoever imports it."""

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "keras":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_add(module: ModuleType) -> None:
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            execute(module)
            _add_stand_ins(module)

        # This replaces the method of one loader, which imports Keras and no other module.
        spec.loader.exec_module = execute_and_add  # type: ignore[method-assign]
        return spec
