"""The playground's web page: its controls ask the gallery for pictures, which it then shows."""

import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from absl import logging
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from sagan_tf.serving.client import ServingError
from sagan_tf.serving.playground.gallery import Ends, Gallery, Grid
from sagan_tf.serving.playground.guard import PageGuard
from sagan_tf.serving.playground.layout import Layout

# JavaScript cannot tell larger integers apart.
_LARGEST_SEED = 2**53 - 1


def make_page(gallery: Gallery, model_name: str) -> gr.Blocks:
    """Makes the page, which asks for the model anew whenever it is loaded.

    Args:
        gallery: makes the pictures.
        model_name: stands on top of the page.
    """
    with gr.Blocks(title=model_name, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        layout = Layout(model_name)
        handlers = _Handlers(gallery, layout)
        images, between, directions = layout.images, layout.between, layout.directions
        known = [
            layout.notice,
            layout.retry,
            images.classes,
            between.first,
            between.last,
            images.attention,
            directions.class_id,
            layout.directions_tab,
            layout.titles,
        ]
        controls = [images.classes, images.seed, images.rows, images.truncation, layout.titles]
        sampled = [layout.grid, images.picture, images.download, images.curl, images.overlays]
        point = [images.index, images.row, images.column]
        ends = [between.first, between.first_seed, between.last, between.last_seed, between.steps]
        gr.on([page.load, layout.retry.click], handlers.connect, outputs=known).then(
            handlers.sample_first, [layout.notice, *controls], sampled
        )
        gr.on([images.generate.click, images.seed.submit], handlers.sample, controls, sampled)
        images.picture.select(handlers.place, layout.grid, point).then(
            handlers.attend, [layout.grid, *point], images.overlays
        )
        gr.on(
            [images.look.click, *(box.submit for box in point)],
            handlers.attend,
            [layout.grid, *point],
            images.overlays,
        )
        between.interpolate.click(handlers.between, ends, [between.strip, between.curl])
        between.make_film.click(handlers.film, ends[:4], between.download)
        gr.on(
            [
                layout.directions_tab.select,
                directions.class_id.input,
                directions.seed.submit,
                directions.seed.blur,
                *(amount.change for amount in directions.amounts),
            ],
            handlers.move,
            [directions.class_id, directions.seed, *directions.amounts],
            [directions.picture, directions.curl],
            trigger_mode="always_last",  # while a slider is dragged, one request at a time
            show_progress="hidden",
        )
    return page


def show(page: gr.Blocks, host: str, port: int, allowed_hosts: Sequence[str] = ()) -> None:
    """Serves the page until the process is interrupted; nothing on it comes from another server.

    Args:
        page: page that `make_page` made.
        host: address to listen at.
        port: port to listen at.
        allowed_hosts: further names of this host, see `PageGuard`.
    """
    # Gradio calls itself when it starts, and must not do so through the environment's proxy.
    excepted = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "localhost", host]
    os.environ["no_proxy"] = ",".join(filter(None, excepted))
    page.launch(
        server_name=host,
        server_port=port,
        # The theme's own fonts would be loaded from the network.
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        footer_links=[],
        quiet=True,
        ssr_mode=False,
        prevent_thread_lock=True,
        app_kwargs={"middleware": [Middleware(PageGuard, hosts=(host, *allowed_hosts))]},
    )
    print(f"page: http://{host}:{port}", flush=True)
    page.block_thread()


def _shows_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a handler: errors that a visitor can mend appear on the page until closed."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (ValueError, ServingError) as error:
            message = _for_visitors(error) if isinstance(error, ServingError) else str(error)
            raise gr.Error(message, duration=None, print_exception=False) from None

    return call


class _Handlers:
    """Handlers of the controls: each method takes values and returns updates of the page."""

    def __init__(self, gallery: Gallery, layout: Layout) -> None:
        self._gallery = gallery
        self._layout = layout

    def connect(self) -> dict[Any, Any]:
        layout, images, between = self._layout, self._layout.images, self._layout.between
        try:
            choices = self._gallery.class_choices()
            some_class = None if choices is None else 0
            attends = self._gallery.has_attention(some_class)
            moves = self._gallery.has_directions(some_class)
        except ServingError as error:
            return {
                layout.notice: f"**The model cannot be reached.** {_for_visitors(error)}",
                layout.retry: gr.update(visible=True),
            }
        numbers = [number for _, number in choices or []]
        listed: dict[str, Any] = {"choices": choices or [], "visible": choices is not None}
        return {
            layout.notice: "",
            layout.retry: gr.update(visible=False),
            images.classes: gr.update(**listed, value=numbers[:5]),
            between.first: gr.update(**listed, value=numbers[0] if numbers else None),
            between.last: gr.update(**listed, value=numbers[-1] if numbers else None),
            images.attention: gr.update(visible=attends),
            layout.directions.class_id: gr.update(**listed, value=numbers[0] if numbers else None),
            layout.directions_tab: gr.update(visible=moves),
            layout.titles: [name for name, _ in choices or []],
        }

    @_shows_errors
    def sample(
        self, class_ids: list[int], seed: int, rows: int, truncation: float, titles: list[str]
    ) -> dict[Any, Any]:
        if titles and not class_ids:
            raise ValueError("Choose a class.")
        seeds = _number(seed, "First seed", 0, _LARGEST_SEED + 1 - rows) + np.arange(rows)
        wanted = Grid(
            tuple(class_ids) if titles else (None,), tuple(seeds.tolist()), truncation or None
        )
        shown = [titles[number] for number in class_ids]
        grid, image, pngs = self._gallery.sample(wanted, shown)
        images = self._layout.images
        return {
            self._layout.grid: grid,
            images.picture: image,
            images.download: gr.update(value=_zip(grid, pngs), visible=True),
            images.curl: self._gallery.curl(grid),
            images.overlays: None,
        }

    def sample_first(self, notice: str, *controls: Any) -> dict[Any, Any]:
        return gr.skip() if notice else self.sample(*controls)

    def place(self, grid: Grid | None, event: gr.SelectData) -> dict[Any, Any]:
        found = grid.place(*event.index) if grid else None
        if found is None:
            return gr.skip()
        images = self._layout.images
        return {images.index: found[0] + 1, images.row: found[1], images.column: found[2]}

    @_shows_errors
    def attend(self, grid: Grid | None, index: int, row: int, column: int) -> Any:
        if grid is None:
            raise ValueError("Generate images first.")
        return self._gallery.attention(
            grid,
            _number(index, "Image", 1, len(grid.images())) - 1,
            _number(row, "Row", 0, grid.image_size - 1),
            _number(column, "Column", 0, grid.image_size - 1),
        )

    @_shows_errors
    def between(
        self, first: int | None, first_seed: int, last: int | None, last_seed: int, steps: int
    ) -> Any:
        return self._gallery.interpolation(_ends(first, first_seed, last, last_seed), steps)

    @_shows_errors
    def film(self, *ends: int | None) -> Any:
        path = _in_cache("film.webp")
        self._gallery.film(_ends(*ends), path)
        return gr.update(value=str(path), visible=True)

    @_shows_errors
    def move(self, class_id: int | None, seed: int | None, *amounts: float) -> Any:
        start = class_id, _number(seed, "Seed", 0, _LARGEST_SEED)
        return self._gallery.moved(start, amounts)


def _ends(
    first: int | None, first_seed: int | None, last: int | None, last_seed: int | None
) -> Ends:
    return (
        (first, _number(first_seed, "From seed", 0, _LARGEST_SEED)),
        (last, _number(last_seed, "To seed", 0, _LARGEST_SEED)),
    )


def _for_visitors(error: ServingError) -> str:
    """Returns what went wrong without the server's address, which only the log may show."""
    logging.error("%s", error)
    return error.told or "The model's server gave no answer. Is the server running?"


def _number(value: int | None, name: str, low: int, high: int) -> int:
    if value is None or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low} to {high}. Received: {value}")
    return value


def _in_cache(name: str) -> Path:
    """Returns the path of a new file in Gradio's cache, from where Gradio deletes what is old.

    It copies files from elsewhere into its cache and leaves them where they are.
    """
    cache = Path(get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=cache)) / name


def _zip(grid: Grid, pngs: list[bytes]) -> str:
    """Writes the server's PNGs to an archive."""
    path = _in_cache("images.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for (class_id, seed), png in zip(grid.images(), pngs, strict=True):
            label = "" if class_id is None else f"label-{class_id}-"
            archive.writestr(f"{label}seed-{seed}.png", png)
    return str(path)
