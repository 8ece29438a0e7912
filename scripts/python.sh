#!/bin/sh
# Prints the interpreter that the tests and scripts use: the first python3 that
# has pytest (a python3 of the user's own may stand before the distribution's),
# else the first that there is.
set -eu

has_pytest='import importlib.util as u, sys
sys.exit(sys.version_info < (3, 9) or u.find_spec("pytest") is None)'

for python in "${EC2SWEEP_PYTHON:-python3}" /usr/bin/python3; do
    if "$python" -I -S -c '' 2>/dev/null &&
        "$python" -c "$has_pytest" 2>/dev/null; then
        echo "$python"
        exit 0
    fi
done
[ "${1:-}" != --strict ] || exit 1
echo "${EC2SWEEP_PYTHON:-python3}"
