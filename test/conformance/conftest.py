"""What the conformance tests share. Started by run.sh: see there."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "support" / "ec2sim"))
