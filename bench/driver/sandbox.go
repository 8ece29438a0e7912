package main

// The sandbox of one function: control groups of either version, or none where
// they cannot be had; and the child that joins them and becomes the function.

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	childVariable = "EC2SWEEP_BENCH_CHILD"
	// Before the functions and before other work on this machine.
	helperNice    = -10
	functionFiles = 1024 // descriptors, as in Lambda
	periodUs      = 20000
	smallestUs    = 1000 // the kernel's
)

// monotonic is in ns; the child and the driver read the same clock.
func monotonic() int64 {
	var t syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}

// --- control groups ---------------------------------------------------------

// group is a control group in each hierarchy that is needed.
type group struct {
	root    string // where the hierarchies are
	version int    // 1, 2, or 0: there is none
	name    string
}

// The order in which a child joins: CPU last, so that little of its own work is
// counted.
var controllers = []string{"memory", "pids", "cpu", "cpuacct"}

func cgroupVersion(root string) int {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(root, name))
		return err == nil
	}
	switch {
	case has("cgroup.controllers"):
		return 2
	case has("memory") && has("cpu") && has("cpuacct") && has("pids"):
		return 1
	}
	return 0
}

// newGroup makes the groups, whose processes come before other work on this
// machine. Where that fails the group is one of version 0,
// on which every method does what can be done without.
func newGroup(root, name string, memoryMB int) (*group, error) {
	g := &group{root: root, version: cgroupVersion(root), name: name}
	err := g.make(memoryMB)
	if err != nil {
		g.remove()
		g.version = 0
	}
	return g, err
}

func (g *group) make(memoryMB int) error {
	bytes := strconv.Itoa(memoryMB << 20)
	switch g.version {
	case 1:
		for _, c := range controllers {
			if err := os.Mkdir(g.path(c, ""), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				return err // it exists where two controllers share a hierarchy
			}
		}
		if err := g.write("memory", "memory.limit_in_bytes", bytes); err != nil {
			return err
		}
		_ = g.write("memory", "memory.memsw.limit_in_bytes", bytes) // not every kernel counts swap
		_ = g.write("cpu", "cpu.shares", "100000")
	case 2:
		control := filepath.Join(g.root, "cgroup.subtree_control")
		if err := os.WriteFile(control, []byte("+cpu +memory +pids"), 0o644); err != nil {
			return err
		}
		if err := os.Mkdir(g.path("", ""), 0o755); err != nil {
			return err
		}
		if err := g.write("", "memory.max", bytes); err != nil {
			return err
		}
		_ = g.write("", "memory.swap.max", "0")
		_ = g.write("", "cpu.weight", "10000")
	default:
		return errors.New("no control groups for memory and CPU below " + g.root)
	}
	return g.write("pids", "pids.max", "1024")
}

func (g *group) path(controller, file string) string {
	if g.version == 2 {
		controller = ""
	}
	return filepath.Join(g.root, controller, g.name, file)
}

func (g *group) write(controller, file, value string) error {
	return os.WriteFile(g.path(controller, file), []byte(value), 0o644)
}

func (g *group) read(controller, file string) string {
	text, _ := os.ReadFile(g.path(controller, file))
	return strings.TrimSpace(string(text))
}

// field reads one number of a file of lines "KEY VALUE".
func (g *group) field(controller, file, key string) int64 {
	for _, line := range strings.Split(g.read(controller, file), "\n") {
		if k, v, found := strings.Cut(line, " "); found && k == key {
			n, _ := strconv.ParseInt(v, 10, 64)
			return n
		}
	}
	return 0
}

// joinFiles are written "0" by the child.
func (g *group) joinFiles() []string {
	var files []string
	switch g.version {
	case 1:
		for _, c := range controllers {
			files = append(files, g.path(c, "tasks"))
		}
	case 2:
		files = append(files, g.path("", "cgroup.procs"))
	}
	return files
}

// limitCPU gives this share of one CPU from now on.
func (g *group) limitCPU(share float64) error {
	us := int(share * periodUs)
	if us < smallestUs {
		us = smallestUs
	}
	quota := strconv.Itoa(us)
	switch g.version {
	case 1:
		if err := g.write("cpu", "cpu.cfs_period_us", strconv.Itoa(periodUs)); err != nil {
			return err
		}
		return g.write("cpu", "cpu.cfs_quota_us", quota)
	case 2:
		return g.write("cpu", "cpu.max", quota+" "+strconv.Itoa(periodUs))
	}
	return nil
}

// cpuNs is what all processes of the group have used, kernel time included.
func (g *group) cpuNs() int64 {
	if g.version == 1 {
		n, _ := strconv.ParseInt(g.read("cpuacct", "cpuacct.usage"), 10, 64)
		return n
	}
	return g.field("cpu", "cpu.stat", "usage_usec") * 1000
}

func (g *group) wasOutOfMemory() bool {
	if g.version == 1 {
		return g.field("memory", "memory.oom_control", "oom_kill") > 0
	}
	return g.field("memory", "memory.events", "oom_kill") > 0
}

func (g *group) pids() []int {
	var pids []int
	for _, word := range strings.Fields(g.read("memory", "cgroup.procs")) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// kill ends every process of the group, and no other.
func (g *group) kill() {
	for tries := 0; tries < 100; tries++ {
		pids := g.pids()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (g *group) remove() {
	paths := []string{g.path("", "")}
	if g.version == 1 {
		paths = nil
		for _, c := range controllers {
			paths = append(paths, g.path(c, ""))
		}
	}
	for _, path := range paths {
		for tries := 0; g.version > 0 && tries < 100; tries++ {
			if err := syscall.Rmdir(path); err != syscall.EBUSY {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// --- what a process says of itself ------------------------------------------

// peakKB sums the peaks of resident memory of these processes.
func peakKB(pids []int) int64 {
	sum := int64(0)
	for _, pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for _, line := range strings.Split(string(text), "\n") {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
				kB, _ := strconv.ParseInt(fields[1], 10, 64)
				sum += kB
			}
		}
	}
	return sum
}

// taskNs is what the living threads of a process have used.
func taskNs(pid int) int64 {
	sum := int64(0)
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			ns, _ := strconv.ParseInt(fields[0], 10, 64)
			sum += ns
		}
	}
	return sum
}

// --- processes --------------------------------------------------------------

// childConfig is what a child does before it becomes the program.
type childConfig struct {
	Namespace string   // of the network; "" stays in ours
	Hosts     string   // file that stands for /etc/hosts; "" leaves it
	Join      []string // files of control groups
	Files     uint64   // limit of descriptors; 0 leaves it
	Nice      int      // as far as allowed
	Dir       string
	Argv, Env []string
}

type process struct {
	pid   int
	began int64 // monotonic, just before the program replaced the child
	exit  chan error
}

// start starts the child and waits until it is about to become the program.
// The files are borrowed.
func start(c childConfig, in, out, log *os.File) (*process, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	stamp, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stamp.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{childVariable + "=" + string(text), "GOMAXPROCS=1"}
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = log
	if in != nil {
		cmd.Stdin = in
	}
	if out != nil {
		cmd.Stdout = out
	}
	// A group of its own: an interrupt of the terminal is ours to handle.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	onLastingThread(func() { err = cmd.Start() })
	w.Close()
	if err != nil {
		return nil, err
	}
	said, err := io.ReadAll(stamp)
	if err != nil || len(said) != 8 {
		_ = cmd.Wait()
		return nil, fmt.Errorf("%s did not start", c.Argv[0])
	}
	p := &process{cmd.Process.Pid, int64(binary.LittleEndian.Uint64(said)), make(chan error, 1)}
	go func() { p.exit <- cmd.Wait() }()
	return p, nil
}

// end kills it and waits for that; it may have ended before.
func (p *process) end() {
	_ = syscall.Kill(p.pid, syscall.SIGKILL)
	select {
	case err := <-p.exit:
		p.exit <- err
	case <-time.After(5 * time.Second):
	}
}

// The signal of Pdeathsig comes when the thread ends that started the child.
var lasting = func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
}()

func onLastingThread(f func()) {
	done := make(chan struct{})
	lasting <- func() { f(); close(done) }
	<-done
}

var sysSetns = map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH]

// enterNamespace moves the calling thread, which has to be locked.
func enterNamespace(name string) error {
	if sysSetns == 0 {
		return errors.New("setns is not known on " + runtime.GOARCH)
	}
	fd, err := syscall.Open("/run/netns/"+name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	defer syscall.Close(fd)
	if _, _, errno := syscall.RawSyscall(sysSetns, uintptr(fd), syscall.CLONE_NEWNET, 0); errno != 0 {
		return fmt.Errorf("namespace %s: %w", name, errno)
	}
	return nil
}

// bindHosts lets this process alone see its own /etc/hosts and no name server.
func bindHosts(hosts string) error {
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_SLAVE|syscall.MS_REC, ""); err != nil {
		return err
	}
	if err := syscall.Mount(hosts, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return syscall.Mount("/dev/null", "/etc/resolv.conf", "", syscall.MS_BIND, "")
}

func become(c *childConfig) error {
	if c.Hosts != "" {
		if err := bindHosts(c.Hosts); err != nil {
			return fmt.Errorf("hosts: %w", err)
		}
	}
	if c.Namespace != "" {
		if err := enterNamespace(c.Namespace); err != nil {
			return err
		}
	}
	if c.Nice != 0 { // without root it stays as it is
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, c.Nice)
	}
	if err := os.Chdir(c.Dir); err != nil {
		return err
	}
	if c.Files != 0 {
		limit := syscall.Rlimit{Cur: c.Files, Max: c.Files}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
	}
	for _, file := range c.Join {
		if err := os.WriteFile(file, []byte("0"), 0o644); err != nil {
			return err
		}
	}
	syscall.CloseOnExec(3)
	stamp := binary.LittleEndian.AppendUint64(nil, uint64(monotonic()))
	if _, err := syscall.Write(3, stamp); err != nil {
		return err
	}
	return syscall.Exec(c.Argv[0], c.Argv, c.Env)
}

// childMain is the child; it does not return.
func childMain() {
	runtime.LockOSThread()
	var c childConfig
	err := json.Unmarshal([]byte(os.Getenv(childVariable)), &c)
	if err == nil {
		err = become(&c)
	}
	fmt.Fprintln(os.Stderr, "bench: child:", err)
	os.Exit(126)
}
