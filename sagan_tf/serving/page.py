"""The playground's web page: controls, and what they ask the gallery for."""

import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from absl import logging
from starlette.middleware import Middleware

from sagan_tf.serving.client import ServingError
from sagan_tf.serving.gallery import Gallery, Grid
from sagan_tf.serving.page_guard import PageGuard

# As many as a gateway lets through at a time.
_MAX_CLASSES, _MAX_SEEDS = 8, 8
# JavaScript cannot tell larger integers apart.
_LARGEST_SEED = 2**53 - 1


def make_page(gallery: Gallery, model_name: str) -> gr.Blocks:
    """The page, which asks for the model anew whenever it is loaded.

    Args:
        gallery: what it shows.
        model_name: its heading.
    """

    def seed_box(label: str) -> gr.Number:
        return gr.Number(0, label=label, precision=0)

    with gr.Blocks(title=model_name, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        grid_state, titles_state = gr.State(None), gr.State([])
        gr.Markdown(f"# {model_name}")
        notice = gr.Markdown(elem_id="notice")
        retry = gr.Button("Try again", visible=False)
        with gr.Tab("Images"):
            with gr.Row():
                with gr.Column(scale=1):
                    classes = gr.Dropdown(
                        [], label="Classes", multiselect=True, max_choices=_MAX_CLASSES
                    )
                    seed = seed_box("First seed")
                    rows = gr.Slider(1, _MAX_SEEDS, 2, step=1, label="Images per class")
                    truncation = gr.Slider(0, 3, 0, step=0.05, label="Truncation (0: none)")
                    generate = gr.Button("Generate", variant="primary")
                    download = gr.DownloadButton("Download PNGs", visible=False)
                with gr.Column(scale=3):
                    picture = _image("Images", "images")
                    with gr.Column(visible=False) as attention:
                        gr.Markdown(
                            "### What attention looks at\nClick a place in an image, or name it "
                            "here. The green point attends most to what is yellow."
                        )
                        with gr.Row():
                            index = gr.Number(1, label="Image", precision=0)
                            row = gr.Number(0, label="Row", precision=0)
                            column = gr.Number(0, label="Column", precision=0)
                            look = gr.Button("Look", variant="primary")
                        overlays = _image("Attention", "overlays")
            line = _line("curl-images")
        with gr.Tab("Between two"):
            with gr.Row():
                first, first_seed = gr.Dropdown([], label="From class"), seed_box("From seed")
                last, last_seed = gr.Dropdown([], label="To class"), seed_box("To seed")
                steps = gr.Slider(2, 16, 8, step=1, label="Images")
            interpolate = gr.Button("Go", variant="primary")
            strip = _image("On the way", "strip")
            strip_line = _line("curl-strip")

        def connect() -> dict[Any, Any]:
            try:
                choices = gallery.class_choices()
                attends = gallery.has_attention(None if choices is None else 0)
            except ServingError as error:
                return {
                    notice: f"**The model cannot be reached.** {_for_visitors(error)}",
                    retry: gr.update(visible=True),
                }
            numbers = [number for _, number in choices or []]
            some: dict[str, Any] = {"choices": choices or [], "visible": choices is not None}
            return {
                notice: "",
                retry: gr.update(visible=False),
                classes: gr.update(**some, value=numbers[:5]),
                first: gr.update(**some, value=numbers[0] if numbers else None),
                last: gr.update(**some, value=numbers[-1] if numbers else None),
                attention: gr.update(visible=attends),
                titles_state: [name for name, _ in choices or []],
            }

        @_told
        def sample(
            class_ids: list[int], seed: int, rows: int, truncation: float, titles: list[str]
        ) -> dict[Any, Any]:
            if titles and not class_ids:
                raise ValueError("Choose a class.")
            seeds = _number(seed, "First seed", 0, _LARGEST_SEED + 1 - rows) + np.arange(rows)
            wanted = Grid(
                tuple(class_ids) if titles else (None,), tuple(seeds.tolist()), truncation or None
            )
            grid, image, pngs = gallery.sample(wanted, [titles[number] for number in class_ids])
            return {
                grid_state: grid,
                picture: image,
                download: gr.update(value=_zip(grid, pngs), visible=True),
                line: gallery.curl(grid),
                overlays: None,
            }

        def sample_first(notice: str, *controls: Any) -> dict[Any, Any]:
            return gr.skip() if notice else sample(*controls)

        def place(grid: Grid | None, event: gr.SelectData) -> dict[Any, Any]:
            found = grid.place(*event.index) if grid else None
            if found is None:
                return gr.skip()
            return {index: found[0] + 1, row: found[1], column: found[2]}

        @_told
        def attend(grid: Grid | None, index: int, row: int, column: int) -> Any:
            if grid is None:
                raise ValueError("Generate images first.")
            return gallery.attention(
                grid,
                _number(index, "Image", 1, len(grid.images())) - 1,
                _number(row, "Row", 0, grid.image_size - 1),
                _number(column, "Column", 0, grid.image_size - 1),
            )

        @_told
        def between(
            first: int | None, first_seed: int, last: int | None, last_seed: int, steps: int
        ) -> Any:
            first_seed = _number(first_seed, "From seed", 0, _LARGEST_SEED)
            last_seed = _number(last_seed, "To seed", 0, _LARGEST_SEED)
            return gallery.interpolation(((first, first_seed), (last, last_seed)), steps)

        known = [notice, retry, classes, first, last, attention, titles_state]
        controls = [classes, seed, rows, truncation, titles_state]
        sampled = [grid_state, picture, download, line, overlays]
        point = [index, row, column]
        gr.on([page.load, retry.click], connect, outputs=known).then(
            sample_first, [notice, *controls], sampled
        )
        gr.on([generate.click, seed.submit], sample, controls, sampled)
        picture.select(place, grid_state, point).then(attend, [grid_state, *point], overlays)
        gr.on([look.click, *(box.submit for box in point)], attend, [grid_state, *point], overlays)
        interpolate.click(between, [first, first_seed, last, last_seed, steps], [strip, strip_line])
    return page


def show(page: gr.Blocks, host: str, port: int, allowed_hosts: Sequence[str] = ()) -> None:
    """Shows the page until it is told to stop; nothing in it comes from another server.

    Args:
        page: of `make_page`.
        host: address to listen at.
        port: likewise.
        allowed_hosts: see `PageGuard`.
    """
    # Gradio calls itself to start, which it must not do through a proxy of the environment.
    excepted = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "localhost", host]
    os.environ["no_proxy"] = ",".join(filter(None, excepted))
    page.launch(
        server_name=host,
        server_port=port,
        # The theme's own fonts would be fetched from the network.
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        footer_links=[],
        quiet=True,
        ssr_mode=False,
        prevent_thread_lock=True,
        app_kwargs={"middleware": [Middleware(PageGuard, hosts=(host, *allowed_hosts))]},
    )
    print(f"page: http://{host}:{port}", flush=True)
    page.block_thread()


def _image(label: str, elem_id: str) -> gr.Image:
    return gr.Image(
        label=label,
        show_label=False,  # It would lie over the picture's own titles.
        alt_text=label,
        type="pil",
        format="png",
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id=elem_id,
    )


def _line(elem_id: str) -> gr.Code:
    return gr.Code(
        label="The same from a shell",
        language="shell",
        interactive=False,
        wrap_lines=True,
        lines=2,
        elem_id=elem_id,
    )


def _shown(visible: bool) -> dict[str, Any]:
    return gr.update(visible=visible)


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Shows errors that a visitor can understand on the page, until they are closed."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (ValueError, ServingError) as error:
            message = _for_visitors(error) if isinstance(error, ServingError) else str(error)
            raise gr.Error(message, duration=None, print_exception=False) from None

    return call


def _for_visitors(error: ServingError) -> str:
    """What went wrong, without the server's address, which is for the log alone."""
    logging.error("%s", error)
    return error.told or "The model's server gave no answer. Is the server running?"


def _number(value: int | None, name: str, low: int, high: int) -> int:
    if value is None or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low} to {high}. Received: {value}")
    return value


def _zip(grid: Grid, pngs: list[bytes]) -> str:
    """A file with the PNGs as the server gave them, which the page's cache takes over."""
    path = Path(tempfile.mkdtemp()) / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for (class_id, seed), png in zip(grid.images(), pngs, strict=True):
            label = "" if class_id is None else f"label-{class_id}-"
            archive.writestr(f"{label}seed-{seed}.png", png)
    return str(path)
