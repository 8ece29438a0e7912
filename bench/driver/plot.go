package main

// The plots, as SVG that needs no font of its own and no script.

import (
	"fmt"
	"math"
	"strings"
)

var colours = map[string]string{"ours": "#0b6e4f", "go": "#7a8ca3", "rust": "#a3907a", "python": "#9a86a4"}

type svg struct {
	strings.Builder
	width, height float64
}

func newSVG(width, height float64, title string) *svg {
	s := &svg{width: width, height: height}
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s" `+
		`font-family="system-ui, sans-serif" font-size="12" fill="#222">`+"\n", width, height, title)
	fmt.Fprintf(s, `<rect width="%g" height="%g" fill="#fff"/>`+"\n", width, height)
	return s
}

func (s *svg) text(x, y float64, anchor, style, text string) {
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(text)
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, style, text)
}

func (s *svg) line(x1, y1, x2, y2 float64, style string) {
	fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
}

func (s *svg) end() string {
	s.WriteString("</svg>\n")
	return s.String()
}

const (
	bold  = ` font-weight="600"`
	faint = ` fill="#666"`
	grid  = `stroke="#e4e4e4"`
	floor = `stroke="#b3261e" stroke-dasharray="4 3"`
)

// bar is one program's in a panel.
type bar struct {
	program, title string
	value          float64
	failure        string
}

// programsPlot shows count at the smallest size of memory: time and memory.
func (r *report) programsPlot() string {
	var rows []*result
	memory := 0
	for i := range r.Results {
		result := &r.Results[i]
		if result.Table != programsTable || result.Question != "count" || result.Fleet.Instances != small {
			continue
		}
		if memory == 0 {
			memory = result.MemoryMB
		}
		if result.MemoryMB == memory {
			rows = append(rows, result)
		}
	}
	if len(rows) == 0 {
		return ""
	}
	panels := []struct {
		title, unit string
		floor       float64
		value       func(summary) float64
	}{
		{"Warm answer", "ms", rows[0].RTTMs, func(s summary) float64 { return s.WarmMs }},
		{"Start and first answer", "ms", 3 * rows[0].RTTMs, func(s summary) float64 { return s.FirstMs }},
		{"Peak memory", "MB", 0, func(s summary) float64 { return s.PeakMB }},
	}
	panelHeight := 44 + 24*float64(len(rows))
	s := newSVG(760, 40+panelHeight*float64(len(panels)), "ec2sweep beside programs made with an SDK")
	s.text(16, 24, "start", bold, fmt.Sprintf("How many instances, in %d regions? Lambda with %d MB",
		rows[0].Fleet.Regions, memory))
	for i, p := range panels {
		var bars []bar
		for _, row := range rows {
			sum := row.summary()
			title := row.Title
			if row.Fleet.Restless {
				title += ", all changing"
			}
			bars = append(bars, bar{row.Program, title, p.value(sum), sum.Failure})
		}
		s.panel(40+panelHeight*float64(i), p.title, p.unit, p.floor, bars)
	}
	return s.end()
}

func (s *svg) panel(top float64, title, unit string, least float64, bars []bar) {
	const left, right = 190, 100
	most := least
	for _, b := range bars {
		most = math.Max(most, b.value)
	}
	scale := (s.width - left - right) / math.Max(most, 1)
	s.text(16, top+16, "start", bold, title+", "+unit)
	for i, b := range bars {
		y := top + 26 + 24*float64(i)
		s.text(left-10, y+13, "end", "", b.title)
		if b.failure != "" && b.value == 0 || b.failure != "" && unit == "ms" {
			s.text(left, y+13, "start", faint, brief(b.failure))
			continue
		}
		fmt.Fprintf(s, `<rect x="%d" y="%.1f" width="%.1f" height="18" fill="%s"/>`+"\n",
			left, y, b.value*scale, colours[b.program])
		s.text(left+b.value*scale+6, y+13, "start", "", number(b.value))
	}
	if least > 0 {
		x := left + least*scale
		s.line(x, top+22, x, top+26+24*float64(len(bars)), floor)
		s.text(x, top+16, "middle", ` fill="#b3261e" font-size="10"`, "network alone: "+number(least))
	}
}

// growthPlot shows CPU of a warm answer, both axes logarithmic.
func (r *report) growthPlot() string {
	names, titles := r.programsOf(regionsTable)
	if len(names) == 0 {
		return ""
	}
	s := newSVG(760, 350, "CPU of a warm answer as the fleet grows")
	s.text(16, 24, "start", bold, "CPU of a warm answer, ms")
	s.axes(r, 60, regionsTable, "regions of 10 instances", func(f fleet) int { return f.Regions })
	s.axes(r, 440, instancesTable, "instances in each of 2 regions", func(f fleet) int { return f.Instances })
	x := 60.0
	for _, name := range names {
		fmt.Fprintf(s, `<rect x="%.1f" y="326" width="12" height="12" fill="%s"/>`+"\n", x, colours[name])
		s.text(x+18, 336, "start", "", titles[name])
		x += 30 + 7*float64(len(titles[name]))
	}
	return s.end()
}

func (s *svg) axes(r *report, left float64, table, what string, size func(fleet) int) {
	const top, width, height = 46, 290, 220
	fleets := r.fleets(table)
	names, _ := r.programsOf(table)
	if len(fleets) < 2 {
		return
	}
	lowX, highX := math.Log10(float64(size(fleets[0]))), math.Log10(float64(size(fleets[len(fleets)-1])))
	lowY, highY := math.Inf(1), math.Inf(-1)
	for _, f := range fleets {
		for _, name := range names {
			if sum, _ := r.find(table, f, name); sum.WarmCPUMs > 0 {
				lowY = math.Min(lowY, math.Floor(math.Log10(sum.WarmCPUMs)))
				highY = math.Max(highY, math.Ceil(math.Log10(sum.WarmCPUMs)))
			}
		}
	}
	if highY <= lowY {
		return
	}
	atX := func(v float64) float64 { return left + width*(math.Log10(v)-lowX)/(highX-lowX) }
	atY := func(v float64) float64 { return top + height*(highY-math.Log10(v))/(highY-lowY) }
	for e := lowY; e <= highY; e++ {
		y := atY(math.Pow(10, e))
		s.line(left, y, left+width, y, grid)
		s.text(left-6, y+4, "end", faint, fmt.Sprintf("%g", math.Pow(10, e)))
	}
	for _, f := range fleets {
		x := atX(float64(size(f)))
		s.line(x, top, x, top+height, grid)
		s.text(x, top+height+16, "middle", faint, grouped(size(f)))
	}
	s.text(left+width/2, top+height+36, "middle", "", what)
	for _, name := range names {
		s.curve(r, table, name, fleets, func(f fleet, sum summary) (float64, float64) {
			return atX(float64(size(f))), atY(sum.WarmCPUMs)
		})
	}
}

func (s *svg) curve(r *report, table, name string, fleets []fleet, at func(fleet, summary) (float64, float64)) {
	var points []string
	for _, f := range fleets {
		if sum, _ := r.find(table, f, name); sum.WarmCPUMs > 0 {
			x, y := at(f, sum)
			points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
			fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x, y, colours[name])
		}
	}
	fmt.Fprintf(s, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n",
		strings.Join(points, " "), colours[name])
}
