"""`python -m neurocaas.runner DOCUMENT`: perform one attempt in this process."""

import sys

from neurocaas.runner.runner import main

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m neurocaas.runner DOCUMENT")
    sys.exit(main(sys.argv[1]))
