"""The table of limits in docs/security.md, held against the sources."""

import re

import pytest

import harness

TABLE = harness.ROOT / "docs/security.md"
ROW = re.compile(r"^\| [^|]+ \| `(\w+)` \| (\d+) \|$", re.MULTILINE)
DEFINE = re.compile(r"^#define (\w+_MAX) (.+?)(?: /\*.*)?$", re.MULTILINE)
ROWS = {name: int(most) for name, most in ROW.findall(TABLE.read_text())}


def defined():
    """{name: {values}} of all sources."""
    found = {}
    for folder in ("include", "src"):
        for path in (harness.ROOT / folder).rglob("*.[ch]"):
            for name, value in DEFINE.findall(path.read_text()):
                found.setdefault(name, set()).add(value)
    for name, value in DEFINE.findall(
            (harness.ROOT / "bootstrap.c").read_text()):
        found.setdefault(name, set()).add(value)
    return found


def number(text):
    product = 1
    for factor in text.replace("((size_t)", "").rstrip(")").split("*"):
        product *= int(factor)
    return product


@pytest.mark.parametrize("name", ROWS)
def test_limit_is_what_the_table_says(name):
    assert ROWS[name] in {number(value) for value in defined()[name]
                          if re.search(r"\d", value)}


def test_table_has_the_limits_of_what_ec2_sends():
    there = {name for name in defined() if name.startswith(
        ("EC2_XML_", "EC2_PAGES", "EC2_RESPONSE", "HTTP_HEADER"))}
    assert there and there <= set(ROWS)
