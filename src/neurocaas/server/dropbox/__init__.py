"""Drop-boxes: storage where a submission that appears starts a job, answered in the same place (paper §5.1.1)."""
