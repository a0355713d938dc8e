"""The controls of the playground's web page, with their labels and texts; `page` handles them."""

from typing import Any

import gradio as gr

from sagan_tf.latent import NUM_DIRECTIONS

# Together as many images as a gateway lets through in one request.
MAX_CLASSES, MAX_SEEDS = 8, 8
# How far to go along a direction, to either side: as far as `python -m sagan_tf.latent` does.
_REACH = 4


class ImagesTab:
    """A grid of images with its controls, and below it the attention of a point.

    The constructor adds the components to Gradio's current context.
    """

    def __init__(self) -> None:
        with gr.Row():
            with gr.Column(scale=1):
                self.classes = gr.Dropdown(
                    [], label="Classes", multiselect=True, max_choices=MAX_CLASSES
                )
                self.seed = _seed_box("First seed")
                self.rows = _slider(1, MAX_SEEDS, 2, step=1, precision=0, label="Images per class")
                self.truncation = _slider(0, 3, 0, step=0.05, label="Truncation (0: none)")
                self.generate = gr.Button("Generate", variant="primary")
                self.download = gr.DownloadButton("Download PNGs", visible=False)
            with gr.Column(scale=3):
                self.picture = _image("Images", "images")
                with gr.Column(visible=False) as self.attention:
                    gr.Markdown(
                        "### What attention looks at\nClick a place in an image, or name it "
                        "here. The green point attends most to what is yellow."
                    )
                    with gr.Row():
                        self.index = gr.Number(1, label="Image", precision=0)
                        self.row = gr.Number(0, label="Row", precision=0)
                        self.column = gr.Number(0, label="Column", precision=0)
                        self.look = gr.Button("Look", variant="primary")
                    self.overlays = _image("Attention", "overlays")
        self.curl = _curl_line("curl-images")


class BetweenTab:
    """An interpolation from one class and seed to another, also as a film, with its controls.

    The constructor adds the components to Gradio's current context.
    """

    def __init__(self) -> None:
        with gr.Row():
            self.first = gr.Dropdown([], label="From class")
            self.first_seed = _seed_box("From seed")
            self.last = gr.Dropdown([], label="To class")
            self.last_seed = _seed_box("To seed")
            self.steps = _slider(2, 16, 8, step=1, precision=0, label="Images")
        with gr.Row():
            self.interpolate = gr.Button("Go", variant="primary")
            self.make_film = gr.Button("Make a film")
            self.download = gr.DownloadButton("Download the film", visible=False)
        self.strip = _image("On the way", "strip")
        self.curl = _curl_line("curl-strip")


class DirectionsTab:
    """An image that sliders move along the directions that change images most.

    The constructor adds the components to Gradio's current context.
    """

    def __init__(self) -> None:
        gr.Markdown(
            "Each slider moves the image along one direction in the space of latents, those that "
            "change images most first. What a direction does is for you to see."
        )
        with gr.Row():
            with gr.Column(scale=1):
                self.class_id = gr.Dropdown([], label="Class")
                self.seed = _seed_box("Seed")
                self.amounts = [
                    _slider(-_REACH, _REACH, 0, step=0.1, label=f"Direction {number}")
                    for number in range(1, NUM_DIRECTIONS + 1)
                ]
            with gr.Column(scale=3):
                self.picture = _image("Moved", "moved")
        self.curl = _curl_line("curl-moved")


class Layout:
    """All components of the page, and the state of each visitor.

    The constructor adds the components to Gradio's current context.

    Args:
        heading: title on top of the page.

    Attributes:
        grid: state with the `gallery.Grid` that is shown, or `None`.
        titles: state with the names of the classes; empty for a generator without classes.
        notice: text that says why there are no images; empty if there are.
        retry: button that asks the server again.
        images: tab with a grid of images and their attention.
        between: tab with an interpolation.
        directions: tab with sliders that move an image.
        directions_tab: the tab around it; hidden if the model cannot move images.
    """

    def __init__(self, heading: str) -> None:
        self.grid, self.titles = gr.State(None), gr.State([])
        gr.Markdown(f"# {heading}")
        self.notice = gr.Markdown(elem_id="notice")
        self.retry = gr.Button("Try again", visible=False)
        with gr.Tab("Images"):
            self.images = ImagesTab()
        with gr.Tab("Between two"):
            self.between = BetweenTab()
        with gr.Tab("Directions", visible=False) as self.directions_tab:
            self.directions = DirectionsTab()


def _slider(minimum: float, maximum: float, value: float, **settings: Any) -> gr.Slider:
    """Makes a slider that takes a number typed beyond an end as that end, and none as `value`.

    Gradio's own would print a traceback and leave the picture as it was. A subclass would do, but
    for each Gradio writes a file beside the module.
    """
    slider = gr.Slider(minimum, maximum, value, **settings)
    check = slider.preprocess

    def preprocess(number: float | None) -> float:
        return check(value if number is None else min(max(number, minimum), maximum))

    slider.preprocess = preprocess  # type: ignore[method-assign, assignment]
    return slider


def _seed_box(label: str) -> gr.Number:
    return gr.Number(0, label=label, precision=0)


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


def _curl_line(elem_id: str) -> gr.Code:
    return gr.Code(
        label="The same from a shell",
        language="shell",
        interactive=False,
        wrap_lines=True,
        lines=2,
        elem_id=elem_id,
    )
