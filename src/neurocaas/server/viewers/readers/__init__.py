"""What opens result files by their kind. The worker imports these in the sandbox; the web process never may."""
