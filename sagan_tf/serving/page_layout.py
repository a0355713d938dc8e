"""The controls of the playground's web page, with their labels and texts; `page` handles them."""

import gradio as gr

# Together as many images as a gateway lets through in one request.
MAX_CLASSES, MAX_SEEDS = 8, 8


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
                self.rows = gr.Slider(1, MAX_SEEDS, 2, step=1, label="Images per class")
                self.truncation = gr.Slider(0, 3, 0, step=0.05, label="Truncation (0: none)")
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
            self.steps = gr.Slider(2, 16, 8, step=1, label="Images")
        with gr.Row():
            self.interpolate = gr.Button("Go", variant="primary")
            self.make_film = gr.Button("Make a film")
            self.download = gr.DownloadButton("Download the film", visible=False)
        self.strip = _image("On the way", "strip")
        self.curl = _curl_line("curl-strip")


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
