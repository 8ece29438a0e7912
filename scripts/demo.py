"""The demo: 34 simulated regions, the three questions, cold and warm.

    demo.py               the three questions, twice, printed for people
    demo.py EVENT.json    your own event, its answer printed as it comes; with
                          EVENT.context.json beside it, if that is there

It plays Lambda: bootstrap runs as a custom runtime and gets its events from a
double of the Runtime API, as from an AgentCore Gateway. One region denies
access, to show a partial answer. Nothing is left running.
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


def show_count(answer):
    found = answer["items"]
    print(by_twos(found))
    print(f"  total: {sum(e['totalInstances'] for e in found)} instances, "
          f"{sum(e['runningInstances'] for e in found)} running")


def show_rows(answer, rows, columns):
    print(table(rows[:FIRST_ROWS], columns) if rows else "  (none)")
    if answer["total"] > FIRST_ROWS:
        print(f"  ... and {answer['total'] - FIRST_ROWS} more")
    print(f"  total: {answer['total']} instances")
    if "next" in answer:
        print(f"  {answer['shown']} of them are in this answer; it goes on "
              f"after {answer['next']}")


def show_owner(answer):
    show_rows(answer, answer["items"],
              ["region", "instanceId", "instanceName", "state"])


def show_exposure(answer):
    rows = [dict(e, open=", ".join(dict.fromkeys(
        f"{p['ports']} ({p['ipProtocol']}) from {p['cidr']}"
        for p in e["permissions"]))) for e in answer["items"]]
    for row in rows:
        if len(row["open"]) > 60:
            row["open"] = row["open"][:57] + "..."
    show_rows(answer, rows, ["region", "instanceId", "state", "open"])


SHOW = {"count": show_count, "owner": show_owner, "exposure": show_exposure}


def ask(runtime, question):
    """The answer and the milliseconds that it took."""
    return measure(runtime, {"regions": "all"},
                   client_context=harness.tool_context(question))


def measure(runtime, event, **options):
    begin = time.monotonic()
    answer = runtime.invoke(event, **options)
    return answer, (answer.at - begin) * 1000


def show(question, answer):
    SHOW[question](answer)
    for failure in answer["failed"]:
        print(f"  ! {', '.join(failure['regions'])}: {failure['error']}")


def three_questions(runtime):
    times = {}
    for question, words in QUESTIONS.items():
        answer, times[question] = ask(runtime, question)
        print(f"\n{words}\n")
        if answer.kind != "response" or "error" in answer.json:
            raise AssertionError(answer.body.decode())
        show(question, answer.json)
    print("\n  ms until the answer   first time   again")
    for question in QUESTIONS:
        again = ask(runtime, question)[1]
        print(f"  {question:<20}{times[question]:>12.0f}{again:>8.0f}")


def own_event(runtime, path):
    data = sys.stdin.buffer.read() if path == "-" else \
        pathlib.Path(path).read_bytes()
    beside = pathlib.Path(path).with_suffix(".context.json")
    context = json.loads(beside.read_text()) if beside.exists() else None
    answer, took = measure(runtime, data, client_context=context)
    print(f"{answer.kind} after {took:.0f} ms:")
    print(json.dumps(answer.json, indent=2, ensure_ascii=False))
    body = body_of(answer.json)
    if isinstance(body, str):
        print("body:", json.dumps(json.loads(body), indent=2,
                                  ensure_ascii=False))


def body_of(whole):
    """The text that an agent's envelope holds; None: it is no agent's."""
    response = whole.get("response", {})
    contents = response.get("functionResponse", response).get("responseBody", {})
    return next((c["body"] for c in contents.values()), None)


def main(arguments):
    with harness.Sim("--instances", "40", "--fault", f"{DENIED}=denied",
                     build=BUILD) as sim:
        print(f"34 regions of 40 instances on https://ec2.REGION.localhost:"
              f"{sim.port}; {DENIED} denies access")
        begin = time.monotonic()
        with harness.Runtime(env=dict(sim.env, RESPONSE_BUDGET_BYTES=""),
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
