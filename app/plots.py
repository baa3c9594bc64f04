"""Figures that can be read on a light page and on a dark one."""

from matplotlib.figure import Figure

INK = "#7c8594"  # contrast of about 3.8 to white and 4.6 to the dark page


def figure(width: float, height: float) -> Figure:
    """An empty figure; inches."""
    return Figure(figsize=(width, height), layout="constrained")


def readable(drawn: Figure) -> Figure:
    """The figure without a background, letters and lines in a middle grey."""
    drawn.patch.set_alpha(0)
    legends = list(drawn.legends)
    for axes in drawn.axes:
        axes.patch.set_alpha(0)
        axes.tick_params(colors=INK, which="both")
        for spine in axes.spines.values():
            spine.set_color(INK)
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts):
            text.set_color(INK)
        if legend := axes.get_legend():
            legends.append(legend)
    for legend in legends:
        legend.get_frame().set_alpha(0)
        for text in legend.get_texts():
            text.set_color(INK)
    return drawn
