"""The simulated cloud never runs it."""
