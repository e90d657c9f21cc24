"""Says of two result files, by their kind, whether they are equal, within tolerance or different, and how far."""

from neurocaas.comparison.comparing import compare
from neurocaas.comparison.verdict import Comparison, Sameness, worst

__all__ = ["Comparison", "Sameness", "compare", "worst"]
