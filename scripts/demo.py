"""The demo: 34 simulated regions, the three questions, cold and warm.

    demo.py               the three questions, twice, printed for people
    demo.py EVENT.json    your own event, its answer printed as it comes

It plays Lambda: bootstrap runs as a custom runtime and gets its events from a
double of the Runtime API. One region denies access, to show a partial answer.
Nothing is left running.
"""

import json
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test" / "support"))

import harness  # noqa: E402  (needs the path above)

DENIED = "ap-east-2"
BUILD = ROOT / "build" / "dev"
QUESTIONS = {"count": "How many instances do we run, and where?",
             "owner": "Which instances have no owner?",
             "exposure": "What is open to the whole internet?"}
FIRST_ROWS = 6


def table(rows, columns):
    """Lines of aligned columns; numbers to the right."""
    cells = [[str(row[c]) for c in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells)]
    numeric = [all(isinstance(row[c], int) for row in rows) for c in columns]

    def line(values):
        return "  " + "  ".join(
            v.rjust(w) if n else v.ljust(w)
            for v, w, n in zip(values, widths, numeric)).rstrip()

    return "\n".join([line(columns), *map(line, cells)])


def by_twos(rows):
    """The rows as a table in two columns, to fit a screen."""
    lines = table(rows, ["region", "totalInstances", "runningInstances"])
    head, *body = lines.splitlines()
    half = (len(body) + 1) // 2
    width = max(map(len, [head, *body])) + 2
    right = [head, *body[half:], ""]
    return "\n".join(f"{a:<{width}}{b}".rstrip()
                     for a, b in zip([head, *body[:half]], right))


def show_count(found):
    print(by_twos(found))
    print(f"  total: {sum(e['totalInstances'] for e in found)} instances, "
          f"{sum(e['runningInstances'] for e in found)} running")


def show_rows(found, columns, total):
    print(table(found[:FIRST_ROWS], columns) if found else "  (none)")
    if len(found) > FIRST_ROWS:
        print(f"  ... and {len(found) - FIRST_ROWS} more")
    print(f"  total: {total}")


def show_owner(found):
    show_rows(found, ["region", "instanceId", "instanceName", "state"],
              f"{len(found)} instances")


def show_exposure(found):
    rows = [dict(e, open=", ".join(dict.fromkeys(
        f"{p['ports']} ({p['ipProtocol']}) from {p['cidr']}"
        for p in e["permissions"]))) for e in found]
    for row in rows:
        if len(row["open"]) > 60:
            row["open"] = row["open"][:57] + "..."
    show_rows(rows, ["region", "instanceId", "state", "open"],
              f"{len(found)} instances, "
              f"{sum(len(e['permissions']) for e in found)} open permissions")


SHOW = {"count": show_count, "owner": show_owner, "exposure": show_exposure}


def ask(runtime, event):
    """The answer and the milliseconds that it took."""
    begin = time.monotonic()
    answer = runtime.invoke(event)
    return answer, (answer.at - begin) * 1000


def show(question, reply):
    failed = [e for e in reply.body if "error" in e]
    SHOW[question]([e for e in reply.body if "error" not in e])
    for element in failed:
        print(f"  ! {element['region']}: {element['error']}")


def three_questions(runtime):
    times = {}
    for question, words in QUESTIONS.items():
        answer, times[question] = ask(runtime, harness.event(question))
        print(f"\n{words}\n")
        if answer.kind != "response":
            raise AssertionError(answer.body.decode())
        show(question, harness.Reply(answer.json))
    print("\n  ms until the answer   first time   again")
    for question in QUESTIONS:
        again = ask(runtime, harness.event(question))[1]
        print(f"  {question:<20}{times[question]:>12.0f}{again:>8.0f}")


def own_event(runtime, path):
    data = sys.stdin.buffer.read() if path == "-" else \
        pathlib.Path(path).read_bytes()
    answer, took = ask(runtime, data)
    print(f"{answer.kind} after {took:.0f} ms:")
    try:
        print(json.dumps(answer.json, indent=2, ensure_ascii=False))
        body = harness.Reply(answer.json).raw
        if isinstance(body, str):
            print("body:", json.dumps(json.loads(body), indent=2,
                                      ensure_ascii=False))
    except (KeyError, TypeError, ValueError, AssertionError):
        pass  # not that envelope: what was printed is all there is


def main(arguments):
    with harness.Sim("--instances", "40", "--fault", f"{DENIED}=denied",
                     build=BUILD) as sim:
        print(f"34 regions of 40 instances on https://ec2.REGION.localhost:"
              f"{sim.port}; {DENIED} denies access")
        begin = time.monotonic()
        with harness.Runtime(env=sim.env,
                             program=[BUILD / "bootstrap"]) as runtime:
            runtime.wait_until_idle()
            print(f"bootstrap is ready after "
                  f"{(time.monotonic() - begin) * 1000:.0f} ms")
            if arguments:
                own_event(runtime, arguments[0])
            else:
                three_questions(runtime)
            print(f"  peak memory of bootstrap: "
                  f"{runtime.peak_rss_kb / 1024:.1f} MB\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except AssertionError as failure:
        sys.exit(f"demo: {failure}")
