"""Checks what compilers do not: docs/style.md's borders, in one pass.

  - a file includes headers of its own folder and of earlier folders only
  - third-party headers only in the files named below, all of them in src/
  - functions that are not used (rule 17), and who may end the process
  - no mutable variable of file scope outside the sources named below
  - functions of at most 60 lines and 6 parameters, headers of at most 120
    lines that begin with a comment, lines of at most 80 characters

It reads C as clang-format leaves it; it is no compiler.
"""

import bisect
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ["base", "net", "aws", "survey", "lambda"]
MAX_FUNCTION, MAX_PARAMETERS, MAX_HEADER, MAX_LINE = 60, 6, 120, 80

# Prefix of a third-party header -> patterns of the sources that may use it.
THIRD_PARTY = {
    "curl/": ["src/net/*"],
    "openssl/": ["src/net/*", "src/aws/sigv4*",
                 "src/aws/ec2_memo.c"],
    "libxml/": ["src/aws/ec2_xml*"],
    "jansson.h": ["src/aws/credentials*", "src/survey/*", "src/lambda/*",
                  "src/answer.c"],
    "zlib.h": [],
    "ares.h": [],
}

# In all C code; and in the program alone, with the sources that may.
NEVER = ("strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol "
         "atoll atof gmtime localtime sleep usleep nanosleep alloca").split()
PROGRAM_ONLY_IN = {
    r"strto(?:l|ll|ul|ull|d|f|ld|imax|umax)": ["src/base/span.c"],
    r"(?:secure_)?getenv": ["src/config.c"],
    r"exit|_exit|_Exit|quick_exit|abort": ["bootstrap.c"],
}

# buf_empty is what empty buffers point at; nothing writes to it.
MUTABLE_STATE = {"src/base/log.c": None, "src/base/buf.c": "buf_empty"}

BLANK = re.compile(
    r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    r"|^[ \t]*#(?:\\\n|[^\n])*", re.S | re.M)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.M)


def blank(text):
    """The code without comments, literals and directives, lines kept."""
    def keep_lines(match):
        word = match.group()
        return ("S" if word[0] in "\"'" else " ") + "\n" * word.count("\n")
    return BLANK.sub(keep_lines, text)


class Source:
    def __init__(self, path):
        self.path = path
        self.name = str(path.relative_to(ROOT))
        self.text = path.read_text(encoding="utf-8")
        self.code = blank(self.text)
        self.starts = [m.end() for m in re.finditer("\n", self.code)]
        self.is_header = path.suffix == ".h"
        self.is_test = self.name.startswith(("test/", "bench/"))

    def line(self, offset):
        return bisect.bisect_right(self.starts, offset) + 1

    def excuses(self, line):
        """A comment on the function excuses it, as it does for clang-tidy."""
        before = self.text.splitlines()[max(0, line - 10):line]
        return any("NOLINT" in text and "readability-function-size" in text
                   for text in before)

    def matches(self, patterns):
        return any(pathlib.PurePath(self.name).match(p) for p in patterns)


def check_includes(source):
    parts = pathlib.PurePath(source.name).parts
    folder = parts[1] if len(parts) > 2 else None
    for match in INCLUDE.finditer(source.text):
        line = source.text.count("\n", 0, match.start()) + 1
        kind, name = match.groups()
        if kind == "<":
            for prefix, where in THIRD_PARTY.items():
                if name.startswith(prefix) and not source.matches(where):
                    yield line, f"<{name}> is not for this file"
            continue
        there = name.split("/")[0] if "/" in name else folder
        if folder is None:
            continue
        if there not in FOLDERS or name == "config.h":
            yield line, f'"{name}" is not for the folder {folder}/'
        elif FOLDERS.index(there) > FOLDERS.index(folder):
            yield line, f'"{name}": {there}/ is above {folder}/'


def check_not_used(source):
    rules = [("|".join(NEVER), "is not used here")]
    if not source.is_test:
        rules += [(names, "only in " + " ".join(where))
                  for names, where in PROGRAM_ONLY_IN.items()
                  if source.name not in where]
    for names, why in rules:
        for match in re.finditer(rf"(?<![\w.>])({names})\s*\(", source.code):
            yield source.line(match.start()), f"{match.group(1)}(): {why}"


def declarations(source):
    """Yields (offset, head, body) of everything at file scope.

    head is the text with each {...} as {}; body is (start, end) of the braces
    of a function definition, else None.
    """
    code, depth, begin, head = source.code, 0, 0, ""
    for match in re.finditer(r"[{};]", code):
        at, mark = match.start(), match.group()
        if depth == 0:
            head += code[begin:at]
        if mark == "{":
            if depth == 0:
                opened, head = at, head + "{}"
            depth += 1
        elif mark == "}":
            depth -= 1
            begin = at + 1
            if depth == 0 and re.search(r"\)\s*\{\}$", head):
                yield opened, head, (opened, at)
                head = ""
        elif depth == 0:
            yield at, head, None
            begin, head = at + 1, ""


def is_mutable_variable(head):
    head = head.split("=")[0].strip()
    if not head or "(" in head or head.endswith("{}"):
        return False
    if re.match(r"(typedef|extern|_Static_assert|static_assert)\b", head):
        return False
    if re.fullmatch(r"(struct|enum|union)\s+\w+", head):
        return False
    return "const" not in (head.rsplit("*", 1)[-1] if "*" in head else head)


def parameter_count(head):
    inside = head[head.index("(") + 1:head.rindex(")")]
    while re.search(r"\([^()]*\)", inside):
        inside = re.sub(r"\([^()]*\)", "", inside)
    return inside.count(",") + 1


def check_sizes(source):
    for at, head, body in declarations(source):
        line = source.line(at)
        if body:
            lines = source.line(body[1]) - source.line(body[0]) - 1
            if lines > MAX_FUNCTION:
                yield line, f"a function of {lines} lines"
            # A library's callback has the parameters that it has.
            if (parameter_count(head) > MAX_PARAMETERS
                    and not source.excuses(line)):
                yield line, f"a function of {parameter_count(head)} parameters"
        elif not source.is_test and is_mutable_variable(head):
            allowed = MUTABLE_STATE.get(source.name, "")
            if allowed is not None and not (allowed and allowed in head):
                yield line, "a mutable variable of file scope: " + head.strip()
    lines = source.text.splitlines()
    if source.is_header and len(lines) > MAX_HEADER:
        yield len(lines), f"a header of {len(lines)} lines"
    if source.is_header and not source.text.startswith("/*"):
        yield 1, "a header begins with a comment that says what it is for"
    for number, text in enumerate(lines, 1):
        if len(text) > MAX_LINE:
            yield number, f"{len(text)} characters"


def sources():
    found = list(ROOT.glob("bootstrap.c"))
    for top in ("include", "src", "test", "bench"):
        for suffix in ("*.h", "*.c"):
            found += (ROOT / top).rglob(suffix)
    return [Source(p) for p in sorted(found)
            if "fixtures" not in p.relative_to(ROOT).parts]


def main():
    problems, all_sources = 0, sources()
    for source in all_sources:
        checks = [check_not_used, check_sizes]
        if not source.is_test:
            checks.append(check_includes)
        for check in checks:
            for line, text in check(source):
                print(f"{source.name}:{line}: {text}", file=sys.stderr)
                problems += 1
    print(f"  OK      layers of {len(all_sources)} files" if not problems else
          f"layers: {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
