"""A Slurm cluster as a provider: stacks are tasks of batch jobs, and Slurm alone queues and places them."""
