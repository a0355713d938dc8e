"""A page on which a browser draws images: the ONNX file and ONNX Runtime Web, in one file."""

import base64
import dataclasses
import gzip
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from sagan_tf.serving.exporting import onnx_format
from sagan_tf.serving.exporting.folding import FoldedGenerator

_TEMPLATE = Path(__file__).with_suffix(".html")
# Files of the npm package: a module with what loads the binary, and the binary for CPUs.
_SCRIPT = "dist/ort.wasm.bundle.min.mjs"
_BINARY = "dist/ort-wasm-simd-threaded.wasm"


@dataclasses.dataclass(frozen=True)
class Page:
    """A `file_formats.FileFormat`.

    Attributes:
        runtime: folder of the npm package `onnxruntime-web`; checked by `check_runtime`.
        title: heading of the page.
    """

    runtime: Path
    title: str

    def write(self, path: Path, generator: FoldedGenerator, notes: Mapping[str, str]) -> None:
        """Writes the page, which needs no other file and no network."""
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model.onnx"
            onnx_format.write(model, generator, notes)
            data = {
                "title": self.title,
                "class_names": json.loads(notes["class_names.json"]),
                "latent_dim": generator.latent_dim,
                "image_size": generator.image_size,
                "channels": generator.channels,
                "version": check_runtime(self.runtime),
                "model": _packed(model.read_bytes()),
                "script": _packed((self.runtime / _SCRIPT).read_bytes()),
                "binary": _packed((self.runtime / _BINARY).read_bytes()),
            }
        # In JSON, "<" stands only in texts, where it may also be written so; a text cannot end the
        # script element then.
        text = json.dumps(data).replace("<", "\\u003c")
        page = _TEMPLATE.read_text(encoding="utf-8").replace("DATA", text, 1)
        path.write_text(page, encoding="utf-8")

    def load(self, path: Path) -> Callable[..., np.ndarray]:
        """Returns the function of the ONNX file in a page, as ONNX Runtime computes it."""
        page = path.read_text(encoding="utf-8")
        match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
        if match is None:
            raise ValueError(f"{path} is no page that `python -m sagan_tf.export` wrote.")
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model.onnx"
            model.write_bytes(gzip.decompress(base64.b64decode(json.loads(match[1])["model"])))
            return onnx_format.load(model)


def check_runtime(folder: Path) -> str:
    """The version of the npm package `onnxruntime-web` in a folder.

    Raises:
        ValueError: if it is not there, or lacks a file that the page needs.
    """
    missing = [name for name in ("package.json", _SCRIPT, _BINARY) if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            "`--onnxruntime_web` must be the folder of the npm package onnxruntime-web, which `npm "
            f"install onnxruntime-web` makes in node_modules. Received: {folder}, which lacks "
            f"{', '.join(missing)}"
        )
    return json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]


def _packed(content: bytes) -> str:
    """Base64 of gzip, the same for the same content."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")
