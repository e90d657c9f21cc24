"""NeuroCAAS: neuroscience analyses as a service, every part of them declared in code."""

__version__ = "0.1.0"
