"""AWS as a provider: stacks are jobs of AWS Batch, each on a whole EC2 instance of its own."""
