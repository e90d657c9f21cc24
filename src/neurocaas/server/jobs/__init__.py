"""Jobs: their rows, the one way to submit them, the job manager and the ledger."""
