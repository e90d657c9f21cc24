"""What a job will take and cost, told before it runs from what earlier ones took."""

from neurocaas.cost.forecast import NOTHING, Forecast, Interval, Run, fit
from neurocaas.cost.makespan import makespan

__all__ = ["NOTHING", "Forecast", "Interval", "Run", "fit", "makespan"]
