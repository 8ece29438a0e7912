// driver measures ec2sweep beside the programs that one would use instead: it
// plays Lambda for each of them in turn, in front of one simulated EC2, and
// writes a table, the raw figures and plots. ../README.md says what a figure
// means and what it does not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// options are the command line's.
type options struct {
	bootstrap string // our program
	build     string // where wan and the peers are
	simulator string
	root      string // of the project
	out       string
	only      string
	full      bool
	large     bool
	smoke     bool
	render    bool
}

func parse() (*options, error) {
	o := &options{}
	flag.StringVar(&o.root, "root", ".", "the project's `directory`")
	flag.StringVar(&o.bootstrap, "bootstrap", "build/release/bootstrap", "our `program`")
	flag.StringVar(&o.simulator, "simulator", "build/dev/ec2sim", "the simulator's `program`")
	flag.StringVar(&o.build, "build", "build/bench", "`directory` of wan and peers/")
	flag.StringVar(&o.out, "out", "build/bench", "`directory` of report.json, report.md and the plots")
	flag.StringVar(&o.only, "only", "", "`programs` to measure, as in ours,go; default all that are built")
	flag.BoolVar(&o.full, "full", false, "every question, fleet and memory size, more often; takes an hour or two")
	flag.BoolVar(&o.large, "large", false, "large fleets, our program alone: large.md; -only is a part of a table's title")
	flag.BoolVar(&o.smoke, "smoke", false, "one question to our program on the loopback: does the benchmark work?")
	flag.BoolVar(&o.render, "render", false, "measure nothing, write table and plots of report.json anew")
	flag.Parse()
	if flag.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	for _, path := range []*string{&o.root, &o.bootstrap, &o.simulator, &o.build, &o.out} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return nil, err
		}
		*path = absolute
	}
	return o, nil
}

// join makes one error of those that are, or nil; errors.Join is younger than
// the oldest compiler that this has to pass.
func join(errs ...error) error {
	var texts []string
	for _, err := range errs {
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "\n"))
}

// say tells the user how far it is; figures go to the report alone.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

func run(ctx context.Context, o *options) error {
	path := filepath.Join(o.out, "report.json")
	if o.render {
		report, err := readReport(path)
		if err != nil {
			return err
		}
		return report.write(o.out)
	}
	if o.large {
		net, err := newNetwork(ctx, o)
		if err != nil {
			return err
		}
		defer net.close()
		return runLarge(ctx, o, net)
	}
	programs, err := findPrograms(o)
	if err != nil {
		return err
	}
	net, err := newNetwork(ctx, o)
	if err != nil {
		return err
	}
	defer net.close()
	report := newReport(o, net)
	err = measureAll(ctx, o, net, programs, report)
	report.Lost = net.lost()
	if len(report.Results) > 0 { // what was measured before a failure, too
		err = join(err, report.write(o.out))
	}
	if err == nil {
		err = report.wrong()
	}
	return err
}

func main() {
	if os.Getenv(childVariable) != "" {
		childMain()
	}
	o, err := parse()
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", strings.ReplaceAll(err.Error(), "\n", "\nbench: "))
		os.Exit(1)
	}
}
