package main

// The simulated EC2 of one fleet: starts it, asks what it counted, and has it
// compute the right answers.

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	keyID  = "ASIAEXAMPLEEXAMPLE00"
	secret = "not-a-real-secret-not-a-real-secret-0000"
)

// As long as Lambda's session tokens are: it is in every request.
var sessionToken = strings.Repeat("not-a-real-token", 60)

type simulator struct {
	net     *network
	program string
	fleet   fleet
	regions []string
	dir     string
	ca      string
	port    string
	process *process
	lease   *os.File
	control *http.Client
	answers map[string][]any
	options []string // beside those of the fleet
	env     []string // what the programs are told besides
}

func (s *simulator) fleetOptions() []string {
	options := []string{"--regions", strings.Join(s.regions, ","), "--instances", strconv.Itoa(s.fleet.Instances)}
	if s.fleet.Restless {
		options = append(options, "--restless")
	}
	return append(options, s.options...)
}

func startSimulator(o *options, n *network, f fleet, more ...string) (*simulator, error) {
	dir, err := os.MkdirTemp(n.dir, "sim-")
	if err != nil {
		return nil, err
	}
	s := &simulator{net: n, program: o.simulator, fleet: f, regions: n.choose(f.Regions), dir: dir,
		answers: map[string][]any{}, options: more}
	if err := s.start(); err != nil {
		s.close()
		return nil, fmt.Errorf("the simulator: %w", err)
	}
	return s, nil
}

func (s *simulator) start() error {
	argv := append([]string{s.program, "--dir", s.dir, "--stdin-lease", "--warm", "--cache-mb", "8192",
		"--key", keyID, "--secret", secret, "--token", sessionToken}, s.fleetOptions()...)
	if s.net.isWide() {
		argv = append(argv, "--listen", "0.0.0.0", "--port", "443")
	}
	lease, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	defer lease.Close()
	ready, said, err := os.Pipe()
	if err != nil {
		hold.Close()
		return err
	}
	s.lease = hold
	s.process, err = start(childConfig{Namespace: s.net.server, Dir: s.dir, Argv: argv, Nice: helperNice},
		lease, said, os.Stderr)
	said.Close()
	if err != nil {
		ready.Close()
		return err
	}
	lines := bufio.NewReader(ready)
	line, err := lines.ReadString('\n')
	go func() { drain(lines); ready.Close() }()
	if n, _ := fmt.Sscanf(line, "ec2sim ready port=%s ca=%s", &s.port, &s.ca); n != 2 {
		return fmt.Errorf("said %q: %w", line, err)
	}
	s.control = &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return s.net.dial(s.port) },
		// The simulator's own certificate; nothing secret is sent.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 1}}
	return nil
}

func (s *simulator) close() {
	if s.lease != nil {
		s.lease.Close()
	}
	if s.process != nil {
		s.process.end()
	}
	os.RemoveAll(s.dir)
}

// counters is what the simulator has seen since it started.
type counters struct {
	Connections int64 `json:"connections"`
	Regions     map[string]struct {
		Bytes int64 `json:"bytes"`
	} `json:"regions"`
}

func (c counters) bytes() int64 {
	sum := int64(0)
	for _, r := range c.Regions {
		sum += r.Bytes
	}
	return sum
}

func (s *simulator) count() (c counters, err error) {
	reply, err := s.control.Get("https://localhost:" + s.port + "/_sim/stats")
	if err != nil {
		return c, err
	}
	defer drain(reply.Body)
	defer reply.Body.Close()
	return c, json.NewDecoder(reply.Body).Decode(&c)
}

// answer is the right answer, from the fleet and not over the network.
func (s *simulator) answer(question string) ([]any, error) {
	if rows, ok := s.answers[question]; ok {
		return rows, nil
	}
	argv := append([]string{"--print-answers", question}, s.fleetOptions()...)
	out, err := exec.Command(s.program, argv...).Output()
	if err != nil {
		return nil, fmt.Errorf("the simulator's answers: %w", err)
	}
	var rows []any
	if err := json.Unmarshal(out, &rows); err != nil {
		return nil, fmt.Errorf("the simulator's answers: %w", err)
	}
	s.answers[question] = rows
	return rows, nil
}

// The bundle that a peer reads in Lambda, where there is one.
var systemBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}

// trust writes what the program has to trust and returns the variables that
// say so: our few roots or the system's many, the simulator's with them.
func (s *simulator) trust(root string, p program) (map[string]string, error) {
	files := []string{s.ca}
	name := "ours.pem"
	if p.ours {
		roots, err := filepath.Glob(filepath.Join(root, "third_party/roots/*.pem"))
		if err != nil {
			return nil, err
		}
		files = append(files, roots...)
	} else {
		name = "system.pem"
		for _, bundle := range systemBundles {
			if _, err := os.Stat(bundle); err == nil {
				files = append(files, bundle)
				break
			}
		}
	}
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(append(all, text...), '\n')
	}
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, all, 0o644); err != nil {
		return nil, err
	}
	// SSL_CERT_DIR: Go would read the system's directory besides the file.
	return map[string]string{p.roots: path, "SSL_CERT_DIR": filepath.Join(s.dir, "none")}, nil
}

// environment is what Lambda gives a zip function, and the way to here.
func (s *simulator) environment(root string, p program, memoryMB int, api string) ([]string, error) {
	task := filepath.Dir(p.argv[0])
	home := s.regions[0]
	for _, r := range s.regions {
		if r == "us-east-1" {
			home = r
		}
	}
	env := map[string]string{
		"AWS_LAMBDA_RUNTIME_API": api, "_HANDLER": "bootstrap", "LAMBDA_TASK_ROOT": task,
		"AWS_REGION": home, "AWS_DEFAULT_REGION": home,
		"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": sessionToken,
		"AWS_LAMBDA_FUNCTION_NAME": "bench", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(memoryMB), "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/bench", "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
		"LANG": "en_US.UTF-8", "TZ": ":UTC", "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
	}
	if p.ours && !p.cuts { // a peer cuts nothing
		env["RESPONSE_BUDGET_BYTES"] = strconv.Itoa(maxPayload)
	}
	if !s.net.isWide() {
		// The SDKs know no {region} there; the simulator then goes by the signature.
		env["AWS_ENDPOINT_URL_EC2"] = "https://localhost:" + s.port
		if p.ours {
			env["AWS_ENDPOINT_URL_EC2"] = "https://ec2.{region}.localhost:" + s.port
		}
	}
	trust, err := s.trust(root, p)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, from := range []map[string]string{env, trust} {
		for name, value := range from {
			list = append(list, name+"="+value)
		}
	}
	return append(list, s.env...), nil
}

// settle waits until what the last program left open is closed and counted.
func settle() { time.Sleep(50 * time.Millisecond) }
