"""The pages of a site whose database holds many stacks."""
