"""Every instance, measured: when it ran, what it served, what it cost, and what is wrong with it (paper §9.2)."""
