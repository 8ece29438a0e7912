"""Picks the inputs worth keeping: fuzz-pick.py CONTROL_FILE MAX FOLDER

libFuzzer's merge leaves in CONTROL_FILE which features every input reaches.
Greedily, the input with the most features that no one before it has is copied
to FOLDER, replacing what is there, until MAX are or nothing new is left; of
equals the smaller one.
"""

import hashlib
import pathlib
import shutil
import sys


def read_control(path):
    """Yields (file, features), in the order of the control file."""
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    number = int(lines[0])
    files = lines[2:2 + number]
    for line in lines[2 + number:]:
        words = line.split()
        if words[:1] == ["FT"]:
            yield pathlib.Path(files[int(words[1])]), set(map(int, words[2:]))


def pick(inputs, most):
    covered, left = set(), list(inputs)
    for _ in range(most):
        best = max(left, key=lambda i: (len(i[1] - covered),
                                        -i[0].stat().st_size), default=None)
        if best is None or not best[1] - covered:
            return
        covered |= best[1]
        left.remove(best)
        yield best[0]


def main():
    control, most, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    # Read before the folder, which holds some of them, is emptied.
    kept = [path.read_bytes() for path in pick(read_control(control), most)]
    shutil.rmtree(folder)
    pathlib.Path(folder).mkdir(parents=True)
    for data in kept:
        name = hashlib.sha1(data).hexdigest()
        (pathlib.Path(folder) / name).write_bytes(data)


if __name__ == "__main__":
    main()
