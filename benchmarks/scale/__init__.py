"""How the job manager bears many stacks: its CPU and memory per stack, makespan and cost, on the simulated cloud."""
