"""Prints compile_commands.json: compdb.py COMPILER FLAG... -- FILE..."""

import json
import os
import sys

split = sys.argv.index("--")
command, files = sys.argv[1:split], sys.argv[split + 1:]
json.dump([{"directory": os.getcwd(), "file": name,
            "arguments": [*command, "-c", name]} for name in files],
          sys.stdout, indent=1)
