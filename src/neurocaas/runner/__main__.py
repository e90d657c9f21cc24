"""`python -m neurocaas.runner DOCUMENT`: perform one attempt in this process.

Without DOCUMENT the attempt is the one that the ticket in NEUROCAAS_TICKET stands for.
"""

import sys

from neurocaas.runner.runner import main, main_with_ticket

if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit("Usage: python -m neurocaas.runner [DOCUMENT]")
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else main_with_ticket())
