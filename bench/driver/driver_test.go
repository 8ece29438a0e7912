package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func rowsOf(t *testing.T, text string) (rows []any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// envelope puts rows where an answer has them, as text or as they are.
func envelope(rows string, asText bool) []byte {
	if asText {
		quoted, _ := json.Marshal(rows)
		rows = string(quoted)
	}
	return []byte(fmt.Sprintf(`{"response":{"responseBody":{"application/json":{"body":%s}}}}`, rows))
}

func TestJudge(t *testing.T) {
	const want = `[{"region":"a","instanceId":"i-1","x":1},{"region":"b","instanceId":"i-2","x":2}]`
	const swapped = `[{"region":"b","instanceId":"i-2","x":2},{"region":"a","instanceId":"i-1","x":1}]`
	cases := []struct {
		name, rows string
		ours       bool
		question   string
		verdict    string // how it begins
	}{
		{"ours, the same", want, true, "owner", right},
		{"ours, other order", swapped, true, "owner", "wrong: element 0"},
		{"ours, one missing", `[{"region":"a","instanceId":"i-1","x":1}]`, true, "owner", "wrong: 1 elements, not 2"},
		{"ours, cut, not where to go on",
			`[{"region":"a","instanceId":"i-1","x":1},{"omitted":{"total":2,"shown":1}}]`, true, "owner", "wrong: it shows nothing, or"},
		{"ours, cut to nothing",
			`[{"omitted":{"total":2,"shown":0,"next":"a/i-0"}}]`, true, "owner", "wrong: it shows nothing, or"},
		{"ours, cut, where to go on",
			`[{"region":"a","instanceId":"i-1","x":1},{"omitted":{"total":2,"shown":1,"next":"b/i-2"}}]`, true, "owner", right},
		{"ours, cut, nothing left out",
			`[{"region":"a","instanceId":"i-1","x":1},{"region":"b","instanceId":"i-2","x":2},` +
				`{"omitted":{"total":2,"shown":2,"next":"b/i-2"}}]`, true, "owner", "wrong: it left out"},
		{"ours, cut, wrong total",
			`[{"region":"a","instanceId":"i-1","x":1},{"omitted":{"total":3,"shown":1,"next":"a/i-1"}}]`, true, "owner", "wrong: it left out"},
		{"peer, other order", swapped, false, "owner", right},
		{"peer, less said of it", `[{"region":"a","instanceId":"i-1"},{"region":"b","instanceId":"i-2"}]`, false, "owner", right},
		{"peer, wrong number", `[{"region":"a","instanceId":"i-1","x":3}]`, false, "count", "0 of 2, and 1 wrong"},
		{"peer, one missing", `[{"region":"b","instanceId":"i-2"}]`, false, "owner", "1 of 2"},
		{"peer, one twice", `[{"region":"b","instanceId":"i-2"},{"region":"b","instanceId":"i-2"}]`, false, "owner", "1 of 2, and 1 wrong"},
		{"peer, nothing", `null`, false, "owner", "0 of 2"},
	}
	for _, c := range cases {
		for _, asText := range []bool{false, true} {
			got := judge(envelope(c.rows, asText), rowsOf(t, want), c.question, c.ours)
			if !strings.HasPrefix(got, c.verdict) {
				t.Errorf("%s, as text %v: %q, not %q", c.name, asText, got, c.verdict)
			}
		}
	}
	for _, broken := range []string{"", "{}", `{"response":{"responseBody":{"application/json":{"body":"["}}}}`} {
		if got := judge([]byte(broken), nil, "count", true); got == right {
			t.Errorf("%q was right", broken)
		}
	}
}

func TestQuantile(t *testing.T) {
	cases := []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0}, {[]float64{7}, 0.9, 7}, {[]float64{3, 1, 2}, 0.5, 2}, {[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, 0.9, 9},
	}
	for _, c := range cases {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("%v of %v: %v, not %v", c.q, c.values, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 9.26: "9.3", 10.4: "10", 999.6: "1,000", 1234567: "1,234,567"} {
		if got := number(v); got != want {
			t.Errorf("%v: %s, not %s", v, got, want)
		}
	}
}

func TestDeviceTraffic(t *testing.T) {
	const text = "Inter-| Receive | Transmit\n face |bytes\n" +
		"    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  wan0:1000 5 0 1 0 0 0 0 234 4 0 6 0 0 0 0\n"
	if got := deviceTraffic(text, "wan0"); got != (traffic{1234, 7}) {
		t.Errorf("%v, not 1234 bytes, 7 dropped", got)
	}
	if got := deviceTraffic(text, "eth0"); got != (traffic{-1, -1}) {
		t.Errorf("%v for a device that is not there", got)
	}
}

// Control groups as plain directories: which files are written, with what.
func TestGroupWrites(t *testing.T) {
	for version, want := range map[int]map[string]string{
		1: {"memory/g/memory.limit_in_bytes": "134217728", "cpu/g/cpu.cfs_quota_us": "1447",
			"cpu/g/cpu.cfs_period_us": "20000", "pids/g/pids.max": "1024"},
		2: {"g/memory.max": "134217728", "g/memory.swap.max": "0", "g/cpu.max": "1447 20000", "g/pids.max": "1024",
			"cgroup.subtree_control": "+cpu +memory +pids"},
	} {
		root := t.TempDir()
		if version == 2 {
			_ = os.WriteFile(filepath.Join(root, "cgroup.controllers"), nil, 0o644)
		} else {
			for _, c := range controllers {
				_ = os.Mkdir(filepath.Join(root, c), 0o755)
			}
		}
		g, err := newGroup(root, "g", 128)
		if err != nil || g.version != version {
			t.Fatalf("version %d: %d, %v", version, g.version, err)
		}
		if err := g.limitCPU(128.0 / wholeCPU); err != nil {
			t.Error(err)
		}
		for file, text := range want {
			if got, _ := os.ReadFile(filepath.Join(root, file)); string(got) != text {
				t.Errorf("version %d, %s: %q, not %q", version, file, got, text)
			}
		}
	}
	if g, err := newGroup(t.TempDir(), "g", 128); err == nil || g.version != 0 || len(g.joinFiles()) != 0 {
		t.Error("there were control groups where there are none")
	}
}

func TestReadRegions(t *testing.T) {
	regions, err := readRegions("../wan/rtt.txt")
	if err != nil || len(regions) != allRegions {
		t.Fatalf("%d regions, %v", len(regions), err)
	}
	n := &network{regions: regions, client: "x"}
	if got := n.choose(2); len(got) != 2 || got[0] != "ap-southeast-7" || got[1] != "us-east-1" {
		t.Errorf("chose %v", got)
	}
	if got := n.farthestMs(n.choose(allRegions)); got != 235 {
		t.Errorf("%v ms to the farthest", got)
	}
}

func TestLargeMarkdown(t *testing.T) {
	r := &report{Wide: true, Date: "today", Command: "make", Machine: "here", TCP: "cubic"}
	for _, w := range largePlan() {
		r.Results = append(r.Results, result{cell: w.cell, Program: "ours", Title: w.title, Lives: []life{{
			Invocations: []invocation{{DurationMs: 100, Verdict: right}, {DurationMs: 2000, CPUMs: 30, Verdict: right}}}}})
	}
	text := r.largeMarkdown()
	for _, want := range []string{"today, by `make`, here, TCP with cubic.\n", pagesTable, exposureTable, growthTable, startTable,
		"| 1 × 50,000 | count | 1769 | PAGES_PARALLEL=on | 100 | 2,000 | 30 | 0 | 0 | right |\n"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, text)
		}
	}
}
