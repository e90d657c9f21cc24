"""The pages of jobs: history, one job as it runs, one stack of it, its results, and two jobs side by side."""
