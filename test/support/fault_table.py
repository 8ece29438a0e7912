"""docs/faults.md as data: what is said of each fault, and whether it is so."""

import pathlib
import re

TABLE = pathlib.Path(__file__).parent.parent.parent / "docs" / "faults.md"
COLUMNS = 5
RIGHT = "the right answer"
# "QUESTION: what; else what", or the same for all questions.
SAYS = re.compile(r"(?:(\w+): )?(`[^`]+`|the right answer[^;]*)"
                  r"(?:; else (.+))?")

# What slow machines may add to a time, seconds.
PATIENCE_S = 8


class Settings:
    """The program's settings in a run, and what the table calls them."""

    def __init__(self, attempts=3, region_timeout_ms=20_000,
                 deadline_ms=60_000, margin_ms=500):
        self.attempts = attempts
        self.region_timeout_s = region_timeout_ms / 1000
        self.deadline_ms = deadline_ms
        self.answer_s = (deadline_ms - margin_ms) / 1000
        # Whole answers are held against the fleet, however long they are.
        self.env = {"RESPONSE_BUDGET_BYTES": "6000000",
                    "AWS_MAX_ATTEMPTS": str(attempts),
                    "REGION_TIMEOUT_MS": str(region_timeout_ms),
                    "ANSWER_MARGIN_MS": str(margin_ms)}

    def longest_s(self, limit):
        waits = 2 ** (self.attempts - 1) - 1  # of 1 s, throttled
        return {"at once": PATIENCE_S, "back-off": waits + PATIENCE_S,
                "T": self.region_timeout_s + PATIENCE_S,
                "D": self.deadline_ms / 1000, "1.5 s": 1.5 + 2,
                "3.4 s": 3.4 + 3}[limit]


class Row:
    def __init__(self, cells):
        name, self.what, self.says, self.again, self.limit = cells
        self.id = name.strip("`")

    def outcome(self, question):
        """RIGHT, or a sentence with N, T and D in it."""
        where, first, other = SAYS.fullmatch(self.says).groups()
        text = other if where and where != question else first
        return RIGHT if text.startswith(RIGHT) else text.strip("`")

    def is_right(self, question):
        return self.outcome(question) == RIGHT

    def sentence(self, question, settings):
        """A pattern of what the answer must say."""
        text = re.escape(self.outcome(question))
        for old, new in (
                ("after N att", f"after {settings.attempts} att"),
                ("after n att", "after [1-9][0-9]* att"),
                ("in T s", f"in {settings.region_timeout_s:g} s"),
                ("in D s", "in (?P<D>[0-9.]+) s")):
            text = text.replace(re.escape(old), new)
        return re.compile(text)

    def check_element(self, question, settings, elements, right):
        """elements: those of the region at fault."""
        if self.is_right(question):
            assert elements == right
            return
        assert len(elements) == 1 and set(elements[0]) == {"region", "error"}
        said = elements[0]["error"]
        found = self.sentence(question, settings).fullmatch(said)
        assert found, f"{said!r} is not {self.outcome(question)!r}"
        assert len(said) <= 160
        if "D" in found.groupdict():
            assert float(found["D"]) <= settings.answer_s

    def check_retries(self, question, n):
        untouched = "; else " in self.says and self.is_right(question)
        expected = self.again == "yes" and not untouched
        assert (n > 0) == expected, f"{n} retries"


def read():
    """The rows by their name."""
    rows = {}
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == COLUMNS:
            row = Row(cells)
            assert row.id not in rows, f"two rows for {row.id}"
            rows[row.id] = row
    return rows
