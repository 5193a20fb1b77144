"""A figure with its number and a caption, which stands below it wherever a notebook is read."""

from __future__ import annotations

from matplotlib.figure import Figure

from adlib import environment
from adlib.viz.widgets import BookWidget

# Of a cell's outputs; from the first the built book makes a figure that can be linked, and leaves the second out.
FIGURE, CAPTION = "adlib_figure", "adlib_caption"


def show(figure: Figure | BookWidget, number: str, caption: str) -> None:
    """Show a figure or a widget, and its number and caption below.

    Args:
        figure: of this package, or any other; shown as it is.
        number: within the book: the page and a number, "1.3" for the third of chapter 1, "3e.1" of its evidence page.
        caption: one sentence, or two, that says what is to be seen; Markdown. Made of the cell's own numbers, so that
            no other run refutes it.
    """
    if not environment.in_notebook():
        print(f"Figure {number}. {caption}")
        return
    from IPython.display import Markdown, display

    about = {"number": number, "caption": caption, "chart": is_chart(figure)}
    display(figure, metadata={FIGURE: about})
    display(Markdown(f"**Figure {number}.** {caption}"), metadata={CAPTION: number})


def is_chart(figure: Figure | BookWidget) -> bool:
    """Whether a figure has lines, marks and words alone: no pixels of an image, no colours that stand for numbers.

    The built book may draw a chart light on dark; grey levels and colour scales have to stay as they are.
    """
    if not isinstance(figure, Figure):
        return False
    axes = figure.axes
    return not any(axis.images or any(c.get_array() is not None for c in axis.collections) for axis in axes)
