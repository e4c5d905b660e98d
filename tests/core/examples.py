"""
How much is tried at random: little here, so that the core suite takes seconds, and more where
EXAMPLES says so, as "make test" does.
"""

import os

EXAMPLES = int(os.environ.get("EXAMPLES", "5"))
# How often two threads take turns.
TURNS = 100 * EXAMPLES
