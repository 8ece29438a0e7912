package main

// The report: raw figures as JSON, tables as Markdown.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

type report struct {
	Date    string   `json:"date"`
	Command string   `json:"command"`
	Machine string   `json:"machine"`
	Version string   `json:"version"` // of our program
	Wide    bool     `json:"wideAreaNetwork"`
	TCP     string   `json:"congestionControl,omitempty"`
	Lost    int64    `json:"packetsLost"`
	Limits  string   `json:"noLimitsBecause,omitempty"` // "": as Lambda's
	Results []result `json:"results"`
}

func newReport(o *options, n *network) *report {
	r := &report{Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Command: command(o),
		Machine: machine(), Wide: n.isWide(), TCP: n.tcp}
	if out, err := exec.Command(o.bootstrap, "--version").Output(); err == nil {
		r.Version = strings.TrimSpace(string(out))
	}
	probe, err := newGroup(cgroupRoot, fmt.Sprintf("%s%d", namePrefix, os.Getpid()), 128)
	probe.remove()
	switch {
	case o.smoke:
		r.Limits = "this is the smoke test"
	case err != nil:
		r.Limits = err.Error()
		say("no limit of memory and CPU, so every size is the same: %v", err)
	}
	return r
}

// command is how to do it again.
func command(o *options) string {
	words := []string{"make", "bench"}
	if o.smoke {
		words[1] = "bench-smoke"
	}
	if o.large {
		words[1] = "bench-large"
	}
	if o.full {
		words = append(words, "FULL=1")
	}
	if o.only != "" {
		words = append(words, "ONLY="+o.only)
	}
	return strings.Join(words, " ")
}

func machine() string {
	model := "unknown CPU"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d x %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), runtime.GOARCH)
}

func readReport(path string) (*report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (r *report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetIndent("", " ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return err
	}
	files := map[string]string{
		"report.json": raw.String(), "report.md": r.markdown(),
		"bench-programs.svg": r.programsPlot(), "bench-growth.svg": r.growthPlot(),
	}
	var failed error
	for name, text := range files {
		if text == "" { // nothing of it was measured
			continue
		}
		path := filepath.Join(dir, name)
		failed = join(failed, os.WriteFile(path, []byte(text), 0o644))
	}
	say("written: report.md, report.json and plots, in %s", dir)
	return failed
}

// wrong is an error if our program was not right throughout; that peers fail
// is a figure.
func (r *report) wrong() error {
	var failed error
	for i := range r.Results {
		s := r.Results[i].summary()
		if strings.TrimSuffix(r.Results[i].Program, cut) == "ours" && (s.Failure != "" || s.Verdict != right) {
			failed = join(failed, fmt.Errorf("%v, %s, %d MB: %s%s", r.Results[i].Fleet, r.Results[i].Question,
				r.Results[i].MemoryMB, s.Failure, s.Verdict))
		}
	}
	return failed
}

// summary has the figures of a table's row; medians unless it says otherwise.
type summary struct {
	InitMs, FirstMs   float64 // FirstMs: INIT and the first answer
	FirstBilledMs     float64
	FirstCPUMs        float64
	FirstKB           float64
	FirstConns        int64
	WarmMs, WarmP90Ms float64
	WarmCPUMs, WarmKB float64
	WarmConns         int64 // all that were opened after the first answer
	PeakMB            float64
	Warms             int
	Verdict, Failure  string
}

// quantile of unsorted values, by nearest rank; the median of an even number is
// the mean of the middle two.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := append([]float64(nil), values...)
	sort.Float64s(v)
	if n := len(v); q == 0.5 && n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	at := int(math.Ceil(q*float64(len(v)))) - 1
	if at < 0 {
		at = 0
	}
	return v[at]
}

func (r *result) summary() (s summary) {
	columns := map[string][]float64{}
	add := func(name string, value float64) { columns[name] = append(columns[name], value) }
	for _, l := range r.Lives {
		s.PeakMB = math.Max(s.PeakMB, float64(l.PeakKB)/1024)
		if l.Failure != "" {
			s.Failure = l.Failure
		}
		for i, inv := range l.Invocations {
			if inv.Failure != "" {
				s.Failure = inv.Failure
				continue
			}
			if s.Verdict == "" || s.Verdict == right {
				s.Verdict = inv.Verdict
			}
			if i == 0 {
				add("init", l.InitMs)
				add("first", l.InitMs+inv.DurationMs)
				add("first billed", inv.BilledMs)
				add("first cpu", l.InitCPUMs+inv.CPUMs)
				add("first kB", inv.WireKB)
				s.FirstConns = inv.Connections
				continue
			}
			add("warm", inv.DurationMs)
			add("cpu", inv.CPUMs)
			add("kB", inv.WireKB)
			s.WarmConns += inv.Connections
		}
	}
	median := func(name string) float64 { return quantile(columns[name], 0.5) }
	s.InitMs, s.FirstMs, s.FirstBilledMs = median("init"), median("first"), median("first billed")
	s.FirstCPUMs, s.FirstKB = median("first cpu"), median("first kB")
	s.WarmMs, s.WarmP90Ms, s.Warms = median("warm"), quantile(columns["warm"], 0.9), len(columns["warm"])
	s.WarmCPUMs, s.WarmKB = median("cpu"), median("kB")
	return s
}

// line is for whoever waits.
func (s summary) line() string {
	if s.Failure != "" {
		return s.Failure
	}
	return fmt.Sprintf("init + first %.0f ms, warm %.0f ms, CPU %.1f ms, peak %.1f MB, answer %s",
		s.FirstMs, s.WarmMs, s.WarmCPUMs, s.PeakMB, s.Verdict)
}

// number prints as many digits as count.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return grouped(int(math.Round(v)))
}

// grouped prints with thousands apart.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func (r *report) markdown() string {
	var b strings.Builder
	r.head(&b)
	for _, f := range r.fleets(programsTable) {
		r.programsTables(&b, f)
	}
	r.curveTable(&b, regionsTable, "regions of 10 instances", func(f fleet) int { return f.Regions })
	r.curveTable(&b, instancesTable, "instances in each of 2 regions", func(f fleet) int { return f.Instances })
	return b.String()
}

// head says what was measured, when and where.
func (r *report) head(b *strings.Builder) {
	fmt.Fprintf(b, "%s, by `%s`, %s", r.Date, r.Command, r.Machine)
	if r.TCP != "" {
		fmt.Fprintf(b, ", TCP with %s", r.TCP)
	}
	b.WriteString(".\n")
	if !r.Wide {
		b.WriteString("\n**On the loopback: round trips take no time, kB are those of bodies alone.**\n")
	}
	if r.Lost != 0 {
		fmt.Fprintf(b, "\n**%s packets were lost in a network that is to lose none.**\n", grouped(int(r.Lost)))
	}
	if r.Limits != "" {
		fmt.Fprintf(b, "\n**Without limits of memory and CPU: %s.**\n", r.Limits)
	}
}

func (r *report) fleets(table string) []fleet {
	var fleets []fleet
	for _, result := range r.Results {
		if result.Table == table && (len(fleets) == 0 || fleets[len(fleets)-1] != result.Fleet) {
			fleets = append(fleets, result.Fleet)
		}
	}
	return fleets
}

func (r *report) memories(f fleet) []int {
	seen := map[int]bool{}
	var sizes []int
	for _, result := range r.Results {
		if result.Table == programsTable && result.Fleet == f && !seen[result.MemoryMB] {
			seen[result.MemoryMB] = true
			sizes = append(sizes, result.MemoryMB)
		}
	}
	sort.Ints(sizes)
	return sizes
}

const programsHead = `
| question | program | init | init + first | billed | warm | p90 | warm / RTT | CPU first | CPU warm | peak MB | kB first | kB warm | connections | answer |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
`

func (r *report) programsTables(b *strings.Builder, f fleet) {
	for _, memory := range r.memories(f) {
		fmt.Fprintf(b, "\n### %s instances in each of %d regions%s, %d MB\n", grouped(f.Instances), f.Regions,
			f.unrest(), memory)
		b.WriteString(programsHead)
		floor := true
		for i := range r.Results {
			result := &r.Results[i]
			if result.Table != programsTable || result.Fleet != f || result.MemoryMB != memory {
				continue
			}
			if floor && r.Wide {
				fmt.Fprintf(b, "| | *floor: 3 and 1 round trips* | | %s | %s | %s | | 1.0 | | | | | | | |\n",
					number(3*result.RTTMs), number(3*result.RTTMs), number(result.RTTMs))
			}
			floor = false
			b.WriteString(result.row())
		}
	}
}

func (r *result) row() string {
	s := r.summary()
	if s.Failure != "" && s.FirstMs == 0 {
		peak := ""
		if s.PeakMB > 0 {
			peak = number(s.PeakMB)
		}
		return fmt.Sprintf("| %s | %s | | | | | | | | | %s | | | | %s |\n", r.Question, r.Title, peak, brief(s.Failure))
	}
	warm := "| | | "
	if s.Warms > 0 {
		ratio := ""
		if r.RTTMs > 0 {
			ratio = fmt.Sprintf("%.2f", s.WarmMs/r.RTTMs)
		}
		warm = fmt.Sprintf("| %s | %s | %s ", number(s.WarmMs), number(s.WarmP90Ms), ratio)
	}
	cpu, kB := "", ""
	if s.Warms > 0 {
		cpu, kB = number(s.WarmCPUMs), number(s.WarmKB)
	}
	answer := s.Verdict
	if s.Failure != "" {
		answer = strings.TrimPrefix(s.Verdict+", then "+brief(s.Failure), ", then ")
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s %s| %s | %s | %s | %s | %s | %d + %d | %s |\n",
		r.Question, r.Title, number(s.InitMs), number(s.FirstMs), number(s.FirstBilledMs), warm,
		number(s.FirstCPUMs), cpu, number(s.PeakMB), number(s.FirstKB), kB, s.FirstConns, s.WarmConns, answer)
}

// brief fits a table's cell.
func brief(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	text = strings.ReplaceAll(text, "|", "/")
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	return text
}

// curveTable has a row for each size and three columns for each program.
func (r *report) curveTable(b *strings.Builder, table, what string, size func(fleet) int) {
	names, titles := r.programsOf(table)
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### More %s: count, warm, %d MB\n\n| %s | floor ms |", strings.Fields(what)[0], wholeCPU, what)
	for _, name := range names {
		fmt.Fprintf(b, " %s: ms | CPU ms | peak MB |", titles[name])
	}
	b.WriteString("\n|--:|--:|" + strings.Repeat("--:|--:|--:|", len(names)) + "\n")
	for _, f := range r.fleets(table) {
		floor := ""
		cells := ""
		for _, name := range names {
			s, rtt := r.find(table, f, name)
			if rtt > 0 {
				floor = number(rtt * math.Ceil(float64(f.Instances)/large))
			}
			if s.Warms == 0 {
				cells += " | | " + brief(s.Failure) + " |"
				continue
			}
			cells += fmt.Sprintf(" %s | %s | %s |", number(s.WarmMs), number(s.WarmCPUMs), number(s.PeakMB))
		}
		fmt.Fprintf(b, "| %s | %s |%s\n", grouped(size(f)), floor, cells)
	}
}

func (r *report) programsOf(table string) (names []string, titles map[string]string) {
	titles = map[string]string{}
	for _, result := range r.Results {
		if result.Table == table && titles[result.Program] == "" {
			names = append(names, result.Program)
			titles[result.Program] = result.Title
		}
	}
	return names, titles
}

func (r *report) find(table string, f fleet, program string) (summary, float64) {
	for i := range r.Results {
		if result := &r.Results[i]; result.Table == table && result.Fleet == f && result.Program == program {
			return result.summary(), result.RTTMs
		}
	}
	return summary{}, 0
}
