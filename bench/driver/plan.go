package main

// What is measured: programs, and cells of a plan grouped by fleet.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// program is one of those compared.
type program struct {
	name  string
	title string
	argv  []string
	ours  bool
	// roots is the variable that says where root certificates are.
	roots string
	// cuts: its answers have their default size, not as much as Lambda lets through.
	cuts bool
	// primes: the simulator has not seen its form of request from another one.
	primes bool
}

// cut ends the name of a program that is measured a second time, cutting.
const cut = "-cut"

var peers = []program{
	{name: "go", title: "Go, aws-sdk-go-v2", roots: "SSL_CERT_FILE", primes: true},
	{name: "rust", title: "Rust, aws-sdk-ec2", roots: "SSL_CERT_FILE", primes: true},
	{name: "python", title: "Python, boto3, threads", roots: "AWS_CA_BUNDLE"},
}

// findPrograms returns those asked for; peers that are not built are told of
// and left out.
func findPrograms(o *options) ([]program, error) {
	argv := []string{o.bootstrap}
	all := []program{
		{name: "ours", title: "ec2sweep", argv: argv, ours: true, roots: "AWS_CA_BUNDLE", primes: true},
		{name: "ours" + cut, title: "ec2sweep, as deployed", argv: argv, ours: true, roots: "AWS_CA_BUNDLE", cuts: true},
	}
	known := map[string]bool{"ours": true}
	for _, peer := range peers {
		peer.argv = []string{filepath.Join(o.build, "peers", peer.name, "bootstrap")}
		all = append(all, peer)
		known[peer.name] = true
	}
	asked := map[string]bool{}
	if o.smoke {
		asked["ours"] = true
	}
	for _, name := range strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' }) {
		if !known[name] {
			return nil, fmt.Errorf("no program %q: there are ours, go, rust and python", name)
		}
		asked[name] = true
	}
	var found []program
	for _, p := range all {
		if len(asked) > 0 && !asked[strings.TrimSuffix(p.name, cut)] {
			continue
		}
		if _, err := os.Stat(p.argv[0]); err != nil {
			say("%s is left out: %v", p.name, err)
			continue
		}
		found = append(found, p)
	}
	if len(found) == 0 {
		return nil, errors.New("there is no program to measure")
	}
	return found, nil
}

// fleet is what the simulator shows.
type fleet struct {
	Regions   int `json:"regions"`
	Instances int `json:"instancesPerRegion"`
	// Restless: no two answers of a region are alike. Else only request ids differ.
	Restless bool `json:"restless,omitempty"`
}

func (f fleet) String() string {
	return fmt.Sprintf("%d regions of %d instances%s", f.Regions, f.Instances, f.unrest())
}

// unrest ends a phrase about the fleet.
func (f fleet) unrest() string {
	if f.Restless {
		return " that change between answers"
	}
	return ""
}

// measures: peers are given up early, and an answer has to be large for the
// default size to matter.
func (c *cell) measures(p program) bool {
	if c.oursOnly && !p.ours {
		return false
	}
	return !p.cuts || c.Table == programsTable && c.Question != "count" && c.Fleet.Instances == large
}

// cell is one question to one program under one size of memory.
type cell struct {
	Table    string        `json:"table"`
	Fleet    fleet         `json:"fleet"`
	Question string        `json:"question"`
	MemoryMB int           `json:"memoryMB"`
	Colds    int           `json:"coldStarts"`
	Warms    int           `json:"warmInvocations"` // after each cold start
	Timeout  time.Duration `json:"timeoutNs"`
	oursOnly bool
}

// The tables of the report.
const (
	programsTable  = "programs"
	regionsTable   = "regions"
	instancesTable = "instances"
)

var questions = []string{"count", "owner", "exposure"}

const (
	small, large = 10, 1000 // instances in each region
	allRegions   = 34
	wholeCPU     = 1769 // MB at which Lambda gives one CPU
	minute       = time.Minute
)

// plan lists the cells; those of one fleet are neighbours.
func plan(o *options) []cell {
	if o.smoke {
		return []cell{{programsTable, fleet{Regions: allRegions, Instances: small}, "count", 128, 1, 3, minute, true}}
	}
	if o.full {
		return append(compareAll(), grow([]int{1, 2, 4, 8, 17, 34}, []int{10, 100, 1000, 10000, 100000}, 9)...)
	}
	return append(compareSome(), grow([]int{1, 2, 4, 8, 17, 34}, []int{10, 100, 1000, 10000}, 9)...)
}

// compareSome fits in some minutes: where Lambda is smallest, everything; else
// one question.
func compareSome() []cell {
	var cells []cell
	for _, question := range questions {
		cells = append(cells, cell{programsTable, fleet{Regions: allRegions, Instances: small}, question, 128, 1, 5, minute, false})
	}
	cells = append(cells, cell{programsTable, fleet{Regions: allRegions, Instances: small}, "count", 512, 1, 5, minute, false})
	cells = append(cells, compareRestless(1, 5)...)
	cells = append(cells, cell{programsTable, fleet{Regions: allRegions, Instances: large}, "count", 512, 1, 1, minute, false})
	for _, question := range questions {
		cells = append(cells, cell{programsTable, fleet{Regions: allRegions, Instances: large}, question, 128, 1, 1, 3 * minute,
			question != "count"}) // one is enough to see peers run out of memory
	}
	return cells
}

// compareRestless is for ours alone: peers take no notice of what is unchanged.
func compareRestless(colds, warms int) []cell {
	var cells []cell
	for _, question := range questions {
		cells = append(cells, cell{programsTable, fleet{allRegions, small, true}, question, 128, colds, warms, minute, true})
	}
	return cells
}

func compareAll() []cell {
	var cells []cell
	for _, size := range []struct{ instances, colds, warms int }{{small, 3, 10}, {large, 1, 2}} {
		for _, memory := range []int{128, 512, wholeCPU} {
			for _, question := range questions {
				cells = append(cells, cell{programsTable, fleet{Regions: allRegions, Instances: size.instances}, question, memory,
					size.colds, size.warms, 2 * minute, false})
			}
		}
	}
	return append(cells, compareRestless(3, 10)...)
}

// grow are the curves, with a whole CPU, so that they show work and not the
// throttle. The farthest region is in every fleet, so the floor is the same.
func grow(regions, instances []int, warms int) []cell {
	var cells []cell
	for _, n := range regions {
		cells = append(cells, cell{regionsTable, fleet{Regions: n, Instances: small}, "count", wholeCPU, 1, warms, minute, false})
	}
	for _, n := range instances {
		oursOnly := n > large
		if oursOnly {
			warms = 1
		}
		cells = append(cells, cell{instancesTable, fleet{Regions: 2, Instances: n}, "count", wholeCPU, 1, warms, 5 * minute, oursOnly})
	}
	return cells
}
