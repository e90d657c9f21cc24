"""The figure of a sweep: lines, heat maps or ranked points. Needs matplotlib only once one is drawn."""

from neurocaas.server.jobs.sweep_figure.drawing import draw

__all__ = ["draw"]
