package main

// Large fleets: our program alone, in the ways it can go about them.

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// way is how our program is told to go about a fleet.
type way struct {
	cell
	fleetOptions []string // of the simulator, beside regions and instances
	env          []string
	before       string // asked first, so that the sizes of regions are known
	title        string
	asked        string // the region that is asked about; "": all
}

// The tables of large.md, in this order.
const (
	pagesTable    = "One region of 50,000 instances, how many are there?"
	exposureTable = "One region, which instances are open to the whole internet?"
	growthTable   = "Many large regions, 128 MB, time-out 180 s"
	startTable    = "The start and the first answer"
)

// starts are the ways to go about INIT.
var starts = []struct{ title, setting string }{
	{"nothing before the event", "INIT_BUDGET_MS=0"},
	{"connections", "SPECULATION_MAX_AGE_MS=0"},
	{"connections, and asked ahead", "SPECULATION_MAX_AGE_MS=1500"},
}

const (
	nearRegion  = "us-east-2"
	startRounds = 5
)

const never = "EXPOSURE_BY_GROUP_MIN=0"

// shares are options of the simulator and the part of instances in open groups
// that comes of them.
var shares = []struct {
	title   string
	options []string
}{
	{"2 % open", []string{"--groups", "100", "--open", "1"}},
	{"39 % open", []string{"--groups", "100", "--open", "25"}},
}

func largePlan() []way {
	var ways []way
	for _, memory := range []int{wholeCPU, 512, 128} {
		c := cell{pagesTable, fleet{Regions: 1, Instances: 50000}, "count", memory, 1, 1, 3 * minute, true}
		ways = append(ways,
			way{cell: c, title: "page by page"},
			way{cell: c, title: "PAGES_PARALLEL=on", env: []string{"PAGES_PARALLEL=on"}})
	}
	for _, instances := range []int{1000, 2000, 3000, 5000} {
		for _, share := range shares {
			for _, memory := range []int{wholeCPU, 128} {
				c := cell{exposureTable, fleet{Regions: 1, Instances: instances}, "exposure", memory, 1, 2, 3 * minute, true}
				ways = append(ways,
					way{c, share.options, []string{never}, "count", share.title + ", listed", ""},
					way{c, share.options, []string{"EXPOSURE_BY_GROUP_MIN=1"}, "count", share.title + ", by group", ""})
			}
		}
	}
	grown := func(f fleet, question string) {
		ways = append(ways, way{cell: cell{growthTable, f, question, 128, 1, 0, 3 * minute, true},
			fleetOptions: shares[0].options})
	}
	for _, f := range []fleet{{Regions: 17, Instances: 2500}, {Regions: 34, Instances: 2500}, {Regions: 17, Instances: 5000}, {Regions: 34, Instances: 5000}} {
		grown(f, "count")
	}
	grown(fleet{Regions: 34, Instances: 5000}, "owner")
	grown(fleet{Regions: 34, Instances: 5000}, "exposure")
	return append(ways, startPlan()...)
}

func startPlan() []way {
	var ways []way
	add := func(question, asked, about string) {
		for _, start := range starts {
			ways = append(ways, way{
				cell: cell{startTable, fleet{Regions: allRegions, Instances: small}, question, 128, startRounds, 2, minute, true},
				env:  []string{start.setting}, title: start.title + about, asked: asked})
		}
	}
	add("count", "", "")
	add("exposure", "", "")
	add("count", nearRegion, "; about "+nearRegion)
	return ways
}

// about makes the event and the right answer those of one region.
func (w *way) about(event []byte, want []any) ([]byte, []any) {
	if w.asked == "" {
		return event, want
	}
	var of []any
	for _, element := range want {
		if fields, ok := element.(map[string]any); ok && fields["region"] == w.asked {
			of = append(of, element)
		}
	}
	return bytes.Replace(event, []byte(`"all"`), []byte(`"`+w.asked+`"`), 1), of
}

// measureWay lives as many lives as there are cold starts, after another one without limits, from which the
// simulator has its pages ready.
func measureWay(ctx context.Context, o *options, sim *simulator, p program, w way, limited bool) (result, error) {
	r := result{cell: w.cell, Program: p.name, Title: w.title, RTTMs: sim.net.farthestMs(sim.regions)}
	for i := 0; i <= w.Colds; i++ {
		measured := i > 0
		want, err := sim.answer(w.Question)
		if err != nil {
			return r, err
		}
		event, want := w.about(eventFor(w.Question), want)
		s := &sandbox{sim: sim, program: p, cell: w.cell, before: w.before, event: event, want: want,
			root: o.root, limited: limited && measured}
		if !measured {
			s.cell.Warms = 1
		}
		l, err := s.live(ctx)
		if err != nil {
			return r, err
		}
		if measured {
			r.Lives = append(r.Lives, l)
		}
		settle()
	}
	return r, nil
}

func measureLarge(ctx context.Context, o *options, net *network, p program, report *report) error {
	var sim *simulator
	defer func() {
		if sim != nil {
			sim.close()
		}
	}()
	for _, w := range largePlan() {
		if o.only != "" && !strings.Contains(w.Table, o.only) {
			continue
		}
		if sim == nil || sim.fleet != w.Fleet || strings.Join(sim.options, " ") != strings.Join(w.fleetOptions, " ") {
			if sim != nil {
				sim.close()
			}
			var err error
			if sim, err = startSimulator(o, net, w.Fleet, w.fleetOptions...); err != nil {
				return err
			}
		}
		sim.env = w.env
		say("%v, %s, %d MB: %s", w.Fleet, w.Question, w.MemoryMB, w.title)
		r, err := measureWay(ctx, o, sim, p, w, report.Limits == "")
		if err != nil {
			return err
		}
		report.Results = append(report.Results, r)
		say("    %s", r.summary().line())
	}
	return ctx.Err()
}

// largeMarkdown has a row for each way. The warm answers are those to look at,
// where there are any: the first one may be to another question.
func (r *report) largeMarkdown() string {
	var b strings.Builder
	r.head(&b)
	for _, table := range []string{pagesTable, exposureTable, growthTable, startTable} {
		header := fmt.Sprintf("\n### %s\n\n| fleet | question | MB | way | first ms | warm ms | CPU ms | peak MB | kB | answer |\n"+
			"|---|---|--:|---|--:|--:|--:|--:|--:|---|\n", table)
		for i := range r.Results {
			if result := &r.Results[i]; result.Table == table {
				b.WriteString(header + result.largeRow())
				header = ""
			}
		}
	}
	return b.String()
}

func (r *result) largeRow() string {
	s := r.summary()
	warm, cpu, kB := number(s.WarmMs), s.WarmCPUMs, s.WarmKB
	if s.Warms == 0 {
		warm, cpu, kB = "", s.FirstCPUMs, s.FirstKB
	}
	answer := s.Verdict
	if s.Failure != "" {
		answer = brief(s.Failure)
	}
	return fmt.Sprintf("| %d × %s | %s | %d | %s | %s | %s | %s | %s | %s | %s |\n", r.Fleet.Regions,
		grouped(r.Fleet.Instances), r.Question, r.MemoryMB, r.Title, number(s.FirstMs), warm, number(cpu),
		number(s.PeakMB), number(kB), answer)
}

func runLarge(ctx context.Context, o *options, net *network) error {
	programs, err := findPrograms(&options{bootstrap: o.bootstrap, build: o.build, only: "ours"})
	if err != nil {
		return err
	}
	report := newReport(o, net)
	began := time.Now()
	err = measureLarge(ctx, o, net, programs[0], report)
	report.Lost = net.lost()
	if text := report.largeMarkdown(); len(report.Results) > 0 {
		err = join(err, os.MkdirAll(o.out, 0o755), os.WriteFile(filepath.Join(o.out, "large.md"), []byte(text), 0o644))
		say("written: large.md, in %s, after %v", o.out, time.Since(began).Round(time.Second))
	}
	return join(err, report.wrong())
}
