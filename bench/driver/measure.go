package main

// From a plan to figures: one sandbox after the other, each from its start to
// its last answer.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

const (
	initTimeout = 10 * time.Second // past it Lambda starts anew, inside the invocation
	peakPeriod  = 50 * time.Millisecond
	logKept     = 400          // bytes of the function's last words
	killed      = "killed at " // and the memory size
)

// invocation is one event and its answer; the duration ends with the next
// "next", as the bill does.
type invocation struct {
	DurationMs  float64 `json:"durationMs"`
	BilledMs    float64 `json:"billedMs"` // the first one's includes INIT
	CPUMs       float64 `json:"cpuMs"`
	WireKB      float64 `json:"wireKB"` // the first one's includes INIT's
	Connections int64   `json:"newConnections"`
	AnswerBytes int     `json:"answerBytes"`
	Verdict     string  `json:"verdict"`
	Failure     string  `json:"failure,omitempty"`
}

// life is one sandbox.
type life struct {
	InitMs      float64      `json:"initMs"`
	InitCPUMs   float64      `json:"initCpuMs"`
	InitAgain   bool         `json:"initTimedOut,omitempty"`
	PeakKB      int64        `json:"peakKB"`
	Failure     string       `json:"failure,omitempty"`
	Invocations []invocation `json:"invocations"`
}

// sandbox is what a life needs while it lasts.
type sandbox struct {
	sim     *simulator
	program program
	cell    cell
	event   []byte
	want    []any
	before  string // the question of the first event, if another
	root    string
	limited bool

	group   *group
	api     *runtimeAPI
	process *process
	log     *os.File
	seq     int
	peak    atomic.Int64
	wire    int64 // bytes so far
	conns   int64 // connections so far
}

func ms(ns int64) float64 { return math.Round(float64(ns)/1e3) / 1e3 }

func (s *sandbox) look() reading {
	r := reading{at: monotonic()}
	if s.group.version > 0 {
		r.cpu = s.group.cpuNs()
	} else if s.process != nil {
		r.cpu = taskNs(s.process.pid)
	}
	return r
}

func (s *sandbox) pids() []int {
	if s.group.version > 0 {
		return s.group.pids()
	}
	return []int{s.process.pid}
}

// throttle gives it the share of a CPU that its memory size buys.
func (s *sandbox) throttle() {
	if s.limited {
		if err := s.group.limitCPU(float64(s.cell.MemoryMB) / wholeCPU); err != nil {
			say("no CPU limit: %v", err)
		}
	}
}

func (s *sandbox) launch() (err error) {
	if s.api, err = newRuntimeAPI(s.sim.net, s.look, s.throttle); err != nil {
		return err
	}
	env, err := s.sim.environment(s.root, s.program, s.cell.MemoryMB, s.api.addr)
	if err == nil {
		s.process, err = start(childConfig{Namespace: s.sim.net.client, Hosts: s.sim.net.hosts,
			Join: s.group.joinFiles(), Files: functionFiles, Dir: filepath.Dir(s.program.argv[0]),
			Argv: s.program.argv, Env: env}, nil, s.log, s.log)
	}
	if err != nil {
		s.api.close()
	}
	return err
}

func (s *sandbox) end() {
	s.group.kill()
	s.process.end()
	s.api.close()
}

// lastWords are the end of what the function wrote.
func (s *sandbox) lastWords() string {
	info, err := s.log.Stat()
	if err != nil {
		return ""
	}
	kept := info.Size()
	if kept > logKept {
		kept = logKept
	}
	text := make([]byte, kept)
	_, _ = s.log.ReadAt(text, info.Size()-int64(len(text)))
	return strings.TrimSpace(string(text))
}

// ending says how the process ended.
func (s *sandbox) ending(err error) string {
	s.process.exit <- err
	if s.group.version > 0 && s.group.wasOutOfMemory() {
		return fmt.Sprintf("%s%d MB", killed, s.cell.MemoryMB)
	}
	return fmt.Sprintf("ended: %v: %s", err, s.lastWords())
}

func (s *sandbox) notePeak() {
	if now := peakKB(s.pids()); now > s.peak.Load() {
		s.peak.Store(now)
	}
}

// watchPeak looks now and then, as a process that is killed leaves no peak.
func (s *sandbox) watchPeak(ctx context.Context) {
	ticker := time.NewTicker(peakPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.notePeak()
		}
	}
}

// waitReady waits for the first next. began is when the process that asked was
// started; again tells that it was the second, started on the throttled CPU.
func (s *sandbox) waitReady(ctx context.Context) (ready reading, again bool, err error) {
	timer := time.NewTimer(initTimeout)
	defer timer.Stop()
	for {
		select {
		case ready = <-s.api.next:
			return ready, again, nil
		case text := <-s.api.initErr:
			return ready, again, fmt.Errorf("init error: %.300s", text)
		case err := <-s.process.exit:
			return ready, again, errors.New(s.ending(err))
		case <-ctx.Done():
			return ready, again, ctx.Err()
		case <-timer.C:
			if again {
				return ready, again, fmt.Errorf("timed out after %v, still in INIT", s.cell.Timeout)
			}
			again = true
			s.end()
			s.throttle()
			if err := s.launch(); err != nil {
				return ready, again, err
			}
			timer.Reset(s.cell.Timeout)
		}
	}
}

// traffic returns what was sent and opened since it was last asked.
func (s *sandbox) traffic() (kB float64, connections int64) {
	seen, err := s.sim.count()
	if err != nil {
		return 0, 0
	}
	wire := s.sim.net.wireBytes()
	if wire < 0 { // the loopback: bodies of answers alone
		wire = seen.bytes()
	}
	kB, connections = float64(wire-s.wire)/1000, seen.Connections-s.conns
	s.wire, s.conns = wire, seen.Connections
	return math.Round(kB*10) / 10, connections
}

// invoke hands one event over and waits for the next next.
func (s *sandbox) invoke(ctx context.Context, question string) (inv invocation, err error) {
	event, want := s.event, s.want
	if question != s.cell.Question {
		event = eventFor(question)
		if want, err = s.sim.answer(question); err != nil {
			return inv, err
		}
	}
	h := newHanding(event, s.cell.Timeout)
	timer := time.NewTimer(s.cell.Timeout)
	defer timer.Stop()
	var last reading
	for delivered := false; last.at == 0; {
		events := s.api.events
		if delivered {
			events = nil
		}
		select {
		case events <- h:
			delivered = true
		case last = <-s.api.next:
		case err := <-s.process.exit:
			inv.Failure = s.ending(err)
			return inv, errors.New(inv.Failure)
		case <-timer.C:
			inv.Failure = fmt.Sprintf("timed out after %v", s.cell.Timeout)
			return inv, errors.New(inv.Failure)
		case <-ctx.Done():
			return inv, ctx.Err()
		}
	}
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	inv.DurationMs = ms(last.at - h.delivered.at)
	inv.CPUMs = ms(last.cpu - h.delivered.cpu)
	inv.BilledMs = math.Ceil(inv.DurationMs)
	inv.AnswerBytes = len(h.body)
	switch {
	case h.tooLarge:
		inv.Failure = fmt.Sprintf("its answer is larger than Lambda's %d bytes", maxPayload)
	case h.isError:
		inv.Failure = fmt.Sprintf("error: %.300s", h.body)
	case !h.answered:
		inv.Failure = "it asked for the next event without an answer"
	default:
		inv.Verdict = judge(h.body, want, question, s.program.ours)
	}
	return inv, nil
}

func (s *sandbox) invokeAll(ctx context.Context, l *life) error {
	for i := 0; i <= s.cell.Warms; i++ {
		question := s.cell.Question
		if i == 0 && s.before != "" {
			question = s.before
		}
		inv, err := s.invoke(ctx, question)
		if err == nil || inv.Failure != "" {
			inv.WireKB, inv.Connections = s.traffic()
			if i == 0 {
				inv.BilledMs = math.Ceil(l.InitMs + inv.DurationMs)
			}
			l.Invocations = append(l.Invocations, inv)
		}
		if err != nil {
			return ctx.Err()
		}
		// What is that slow when cold is not worth as much time again.
		if len(l.Invocations) == 1 && inv.DurationMs > float64(s.cell.Timeout.Milliseconds())/3 {
			return nil
		}
	}
	return nil
}

// live is the whole life of one sandbox.
func (s *sandbox) live(ctx context.Context) (l life, err error) {
	s.seq++
	name := fmt.Sprintf("%s%d-%d", namePrefix, os.Getpid(), s.seq)
	if s.log, err = os.Create(filepath.Join(s.sim.dir, "log")); err != nil {
		return l, err
	}
	defer s.log.Close()
	s.group = &group{}
	if s.limited {
		if s.group, err = newGroup(cgroupRoot, name, s.cell.MemoryMB); err != nil {
			return l, err
		}
	}
	defer s.group.remove()
	s.traffic()
	if err := s.launch(); err != nil {
		return l, err
	}
	defer s.end()
	began := s.process.began
	s.peak.Store(0)
	ready, again, err := s.waitReady(ctx)
	if err != nil {
		l.Failure = err.Error()
		return l, ctx.Err()
	}
	l.InitMs, l.InitCPUMs, l.InitAgain = ms(ready.at-began), ms(ready.cpu), again
	watching, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { s.watchPeak(watching); close(done) }()
	err = s.invokeAll(ctx, &l)
	stop()
	<-done
	s.notePeak()
	l.PeakKB = s.peak.Load()
	return l, err
}

// result is one cell of one program.
type result struct {
	cell
	Program string  `json:"program"`
	Title   string  `json:"title"`
	RTTMs   float64 `json:"farthestRoundTripMs"`
	Lives   []life  `json:"lives"`
}

func measureCell(ctx context.Context, o *options, sim *simulator, p program, c cell, limited bool) (result, error) {
	r := result{cell: c, Program: p.name, Title: p.title, RTTMs: sim.net.farthestMs(sim.regions)}
	want, err := sim.answer(c.Question)
	if err != nil {
		return r, err
	}
	s := &sandbox{sim: sim, program: p, cell: c, event: eventFor(c.Question), want: want, root: o.root, limited: limited}
	for i := 0; i < c.Colds; i++ {
		l, err := s.live(ctx)
		if err != nil {
			return r, err
		}
		r.Lives = append(r.Lives, l)
		settle()
	}
	return r, nil
}

var paths = map[string]string{
	"count":    "/count/{regions}",
	"owner":    "/check-without-owner/{regions}",
	"exposure": "/check-open-permission/{regions}",
}

// eventFor is what a Bedrock agent sends.
func eventFor(question string) []byte {
	return []byte(`{"messageVersion":"1.0","agent":{"name":"ec2sweep","id":"AGENT12345","alias":"TSTALIASID",` +
		`"version":"1"},"sessionId":"012345678901234","inputText":"","actionGroup":"ec2","apiPath":"` +
		paths[question] + `","httpMethod":"GET","parameters":[{"name":"regions","type":"string","value":"all"}],` +
		`"sessionAttributes":{},"promptSessionAttributes":{}}`)
}

// prime has each program ask once, unlimited and unmeasured: the simulator
// then has the pages ready that it asks for, and the files are cached.
func prime(ctx context.Context, o *options, sim *simulator, p program, c cell) error {
	c.Colds, c.Warms, c.MemoryMB = 1, 0, 10240
	_, err := measureCell(ctx, o, sim, p, c, false)
	return err
}

// givenUpKey: what failed at one size of a curve fails at the next, and what
// ran out of memory at a small fleet does so again.
func givenUpKey(c cell, p program) string {
	if c.Table != programsTable {
		return c.Table + p.name
	}
	return fmt.Sprint(c.MemoryMB, p.name)
}

func measureAll(ctx context.Context, o *options, net *network, programs []program, report *report) error {
	limited := report.Limits == ""
	var sim *simulator
	defer func() {
		if sim != nil {
			sim.close()
		}
	}()
	primed := map[string]bool{}
	givenUp := map[string]string{} // why, by curve or size of memory and program
	for _, c := range plan(o) {
		if sim == nil || sim.fleet != c.Fleet {
			if sim != nil {
				sim.close()
			}
			var err error
			if sim, err = startSimulator(o, net, c.Fleet); err != nil {
				return err
			}
			primed = map[string]bool{}
		}
		for _, p := range programs {
			key := givenUpKey(c, p)
			if !c.measures(p) || c.Table != programsTable && givenUp[key] != "" {
				continue
			}
			if why := givenUp[key]; why != "" && !o.full {
				report.Results = append(report.Results, result{cell: c, Program: p.name, Title: p.title,
					Lives: []life{{Failure: why + " before; not tried again"}}})
				continue
			}
			say("%v, %s, %d MB: %s", c.Fleet, c.Question, c.MemoryMB, p.name)
			if asks := p.name + c.Question; !primed[asks] && p.primes {
				primed[asks] = true
				if err := prime(ctx, o, sim, p, c); err != nil {
					return err
				}
			}
			r, err := measureCell(ctx, o, sim, p, c, limited)
			if err != nil {
				return err
			}
			report.Results = append(report.Results, r)
			s := r.summary()
			if c.Table != programsTable || strings.HasPrefix(s.Failure, killed) {
				givenUp[key] = s.Failure
			}
			say("    %s", s.line())
		}
	}
	return ctx.Err()
}
