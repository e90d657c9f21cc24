"""The `neurocaas` command: for users, analysis developers and operators."""
