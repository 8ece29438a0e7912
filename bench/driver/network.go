package main

// Where the programs and the simulator meet: two network namespaces with a
// wide-area network between them, or the loopback where that cannot be had.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const namePrefix = "ec2sweep-bench-"

// The addresses are those that wan.c knows.
const (
	clientAddress = "10.76.0.1/32"
	clientNet     = "10.76.0.0/16"
	serverNet     = "10.77.0.0/16"
	serverAddress = "10.77.255.254/32"
)

// queuePackets is what a device holds until wan reads it: more than all windows
// together. The kernel's 500 overflow when sixteen connections send at the same
// time, and what is lost halves their windows.
const queuePackets = "20000"

// region is one of rtt.txt.
type region struct {
	name string
	ms   float64 // of a round trip
}

type network struct {
	client, server string // namespaces; "" on the loopback
	hosts          string // file for /etc/hosts of the functions
	regions        []region
	dir            string
	wan            *process
	tcp            string // congestion control at both ends
}

func readRegions(path string) ([]region, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var regions []region
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		var r region
		if _, err := fmt.Sscanf(line, "%s %f", &r.name, &r.ms); err != nil {
			return nil, fmt.Errorf("%s:%d: expected REGION MS, not %q", path, n+1, line)
		}
		regions = append(regions, r)
	}
	return regions, nil
}

func newNetwork(ctx context.Context, o *options) (*network, error) {
	regions, err := readRegions(filepath.Join(o.root, "bench/wan/rtt.txt"))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", namePrefix)
	if err != nil {
		return nil, err
	}
	n := &network{regions: regions, dir: dir}
	if !o.smoke {
		if err = n.up(ctx, filepath.Join(o.build, "wan")); err != nil {
			n.down()
			say("no wide-area network, everything is on the loopback, so times have no floor: %v", err)
		}
	}
	return n, nil
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// removeLeftOvers deletes the namespaces of drivers that were killed.
func removeLeftOvers() {
	entries, _ := os.ReadDir("/run/netns")
	for _, e := range entries {
		rest := strings.TrimPrefix(e.Name(), namePrefix)
		pid, err := strconv.Atoi(strings.SplitN(rest, "-", 2)[0])
		if rest != e.Name() && err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = ip("netns", "del", e.Name())
		}
	}
}

// up makes the namespaces, starts wan and gives both ends their addresses.
func (n *network) up(ctx context.Context, wan string) error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root")
	}
	if _, err := os.Stat(wan); err != nil {
		return err
	}
	removeLeftOvers()
	name := namePrefix + strconv.Itoa(os.Getpid())
	n.client, n.server = name+"-client", name+"-server"
	for _, ns := range []string{n.client, n.server} {
		if err := ip("netns", "add", ns); err != nil {
			return err
		}
		if err := ip("-n", ns, "link", "set", "lo", "up"); err != nil {
			return err
		}
	}
	if err := n.writeFiles(); err != nil {
		return err
	}
	if err := n.startWan(ctx, wan); err != nil {
		return err
	}
	return n.configure()
}

func (n *network) address(i int) string { return "10.77.0." + strconv.Itoa(i+1) }

func (n *network) writeFiles() error {
	var table, hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n")
	for i, r := range n.regions {
		fmt.Fprintf(&table, "%s %g\n", n.address(i), r.ms)
		fmt.Fprintf(&hosts, "%s ec2.%s.amazonaws.com\n", n.address(i), r.name)
	}
	n.hosts = filepath.Join(n.dir, "hosts")
	return join(os.WriteFile(filepath.Join(n.dir, "table"), []byte(table.String()), 0o644),
		os.WriteFile(n.hosts, []byte(hosts.String()), 0o644))
}

func (n *network) startWan(ctx context.Context, wan string) error {
	ready, said, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	n.wan, err = start(childConfig{Dir: n.dir, Nice: helperNice,
		Argv: []string{wan, n.client, n.server, filepath.Join(n.dir, "table")}}, nil, said, os.Stderr)
	said.Close()
	if err != nil {
		return err
	}
	_ = ready.SetReadDeadline(time.Now().Add(5 * time.Second))
	if line, err := bufio.NewReader(ready).ReadString('\n'); line != "ready\n" {
		return fmt.Errorf("wan did not start: %w", err)
	}
	return ctx.Err()
}

func (n *network) configure() error {
	commands := [][]string{
		{"-n", n.client, "addr", "add", clientAddress, "dev", "wan0"},
		{"-n", n.client, "link", "set", "wan0", "txqueuelen", queuePackets, "up"},
		{"-n", n.client, "route", "add", serverNet, "dev", "wan0"},
		{"-n", n.server, "link", "set", "wan0", "txqueuelen", queuePackets, "up"},
		{"-n", n.server, "route", "add", clientNet, "dev", "wan0"},
		{"-n", n.server, "addr", "add", serverAddress, "dev", "wan0"},
	}
	for i := range n.regions {
		commands = append(commands, []string{"-n", n.server, "addr", "add", n.address(i) + "/32", "dev", "lo"})
	}
	for _, c := range commands {
		if err := ip(c...); err != nil {
			return err
		}
	}
	return n.setCongestionControl()
}

// setCongestionControl gives both ends what Linux has unless it is told
// otherwise, as Lambda has it. This machine may have been told: BBR spreads an
// answer of 4 kB from 235 ms away over 20 ms. Where cubic is not allowed in a
// namespace there is reno, which without a loss is much the same.
func (n *network) setCongestionControl() error {
	var err error
	for _, n.tcp = range []string{"cubic", "reno"} {
		err = nil
		for _, ns := range []string{n.client, n.server} {
			err = join(err, inNamespace(ns, func() error {
				return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(n.tcp), 0o644)
			}))
		}
		if err == nil {
			break
		}
	}
	return err
}

// down leaves the loopback.
func (n *network) down() {
	if n.wan != nil {
		n.wan.end()
	}
	for _, ns := range []string{n.client, n.server} {
		if ns != "" {
			_ = ip("netns", "del", ns)
		}
	}
	n.client, n.server, n.hosts, n.wan, n.tcp = "", "", "", nil, ""
}

func (n *network) close() {
	n.down()
	os.RemoveAll(n.dir)
}

func (n *network) isWide() bool { return n.client != "" }

// choose returns the names of count regions: the farthest one, then home, then
// the others in the file's order.
func (n *network) choose(count int) []string {
	far := n.regions[0]
	for _, r := range n.regions {
		if r.ms > far.ms {
			far = r
		}
	}
	names := []string{far.name}
	for _, r := range n.regions {
		if len(names) < count && r.name != far.name {
			names = append(names, r.name)
		}
	}
	return names
}

// farthestMs is the round trip to the farthest of these, 0 on the loopback.
func (n *network) farthestMs(names []string) float64 {
	ms := 0.0
	for _, r := range n.regions {
		for _, name := range names {
			if n.isWide() && r.name == name && r.ms > ms {
				ms = r.ms
			}
		}
	}
	return ms
}

// inNamespace runs f on a thread in the namespace; "" is where we are.
func inNamespace(name string, f func() error) error {
	if name == "" {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with it
		err := enterNamespace(name)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// listen opens a port of the loopback where the functions run.
func (n *network) listen() (l net.Listener, err error) {
	err = inNamespace(n.client, func() (err error) {
		l, err = net.Listen("tcp4", "127.0.0.1:0")
		return err
	})
	return l, err
}

// dial connects to a port of the loopback where the simulator runs.
func (n *network) dial(port string) (c net.Conn, err error) {
	err = inNamespace(n.server, func() (err error) {
		c, err = net.Dial("tcp4", "127.0.0.1:"+port)
		return err
	})
	return c, err
}

// wireBytes counts what went through the client's end of the network so far,
// both ways, with all headers below TLS; -1 on the loopback.
func (n *network) wireBytes() int64 {
	if !n.isWide() {
		return -1
	}
	return sentBy(n.client).bytes
}

// lost counts the packets that a full queue dropped at either end so far; wan
// tells of its own.
func (n *network) lost() int64 {
	total := int64(0)
	if !n.isWide() {
		return total
	}
	for _, ns := range []string{n.client, n.server} {
		if dropped := sentBy(ns).dropped; dropped > 0 {
			total += dropped
		}
	}
	return total
}

// traffic is what went through a device so far, both ways; -1: not known.
type traffic struct{ bytes, dropped int64 }

func sentBy(namespace string) traffic {
	t := traffic{-1, -1}
	_ = inNamespace(namespace, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		t = deviceTraffic(string(text), "wan0")
		return err
	})
	return t
}

// deviceTraffic reads /proc/net/dev.
func deviceTraffic(text, device string) traffic {
	for _, line := range strings.Split(text, "\n") {
		name, rest, found := strings.Cut(strings.TrimSpace(line), ":")
		fields := strings.Fields(rest)
		if found && name == device && len(fields) > 11 {
			n := func(i int) int64 {
				value, _ := strconv.ParseInt(fields[i], 10, 64)
				return value
			}
			return traffic{bytes: n(0) + n(8), dropped: n(3) + n(11)}
		}
	}
	return traffic{-1, -1}
}

// drain reads on, so that what writes there never waits.
func drain(r io.Reader) { _, _ = io.Copy(io.Discard, r) }
