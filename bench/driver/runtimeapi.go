package main

// Lambda's Runtime API (2018-06-01) for one sandbox.

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	apiPrefix  = "/2018-06-01/runtime/"
	maxPayload = 6*1024*1024 + 100 // bytes of an answer
)

// reading is a look at the clock and at the CPU time of the sandbox, in ns.
type reading struct{ at, cpu int64 }

// handing is one event on its way through the function.
type handing struct {
	id       string
	event    []byte
	deadline time.Time

	// Set by the API, under its lock.
	delivered reading
	answered  bool
	isError   bool
	tooLarge  bool
	body      []byte
}

type runtimeAPI struct {
	addr   string
	server *http.Server
	look   func() reading
	// onReady is called at the first next, before it is answered.
	onReady func()
	next    chan reading // an arrival of next
	events  chan *handing
	initErr chan string

	mu    sync.Mutex
	ready bool
	now   *handing // being worked on
}

func newRuntimeAPI(n *network, look func() reading, onReady func()) (*runtimeAPI, error) {
	l, err := n.listen()
	if err != nil {
		return nil, err
	}
	a := &runtimeAPI{addr: l.Addr().String(), look: look, onReady: onReady,
		next: make(chan reading, 1), events: make(chan *handing), initErr: make(chan string, 1)}
	a.server = &http.Server{Handler: a}
	go func() { _ = a.server.Serve(l) }()
	return a, nil
}

func (a *runtimeAPI) close() { _ = a.server.Close() }

func (a *runtimeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, apiPrefix)
	words := strings.Split(path, "/")
	switch {
	case r.Method == "GET" && path == "invocation/next":
		a.serveNext(w, r)
	case r.Method == "POST" && path == "init/error":
		body, _ := io.ReadAll(io.LimitReader(r.Body, maxPayload))
		select {
		case a.initErr <- string(body):
		default:
		}
		reply(w, http.StatusAccepted, "OK")
	case r.Method == "POST" && len(words) == 3 && words[0] == "invocation" &&
		(words[2] == "response" || words[2] == "error"):
		a.serveAnswer(w, r, words[1], words[2] == "error")
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, "{\"status\":%q}\n", status)
}

func (a *runtimeAPI) serveNext(w http.ResponseWriter, r *http.Request) {
	arrival := a.look()
	a.mu.Lock()
	early, first := a.now != nil, !a.ready
	a.ready = true
	a.mu.Unlock()
	if early {
		reply(w, http.StatusForbidden, "InvalidStateTransition")
		return
	}
	if first {
		a.onReady()
	}
	a.next <- arrival
	var h *handing
	select {
	case h = <-a.events:
	case <-r.Context().Done():
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(h.event)))
	header.Set("Lambda-Runtime-Aws-Request-Id", h.id)
	header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(h.deadline.UnixMilli(), 10))
	header.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:bench")
	header.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0")
	a.mu.Lock()
	a.now = h
	h.delivered = a.look()
	a.mu.Unlock()
	_, _ = w.Write(h.event)
}

func (a *runtimeAPI) serveAnswer(w http.ResponseWriter, r *http.Request, id string, isError bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	a.mu.Lock()
	defer a.mu.Unlock()
	switch h := a.now; {
	case err != nil || h == nil || h.id != id:
		reply(w, http.StatusBadRequest, "InvalidRequestID")
	case len(body) > maxPayload:
		h.tooLarge, a.now = true, nil
		reply(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge")
	default:
		h.answered, h.isError, h.body, a.now = true, isError, body, nil
		reply(w, http.StatusAccepted, "OK")
	}
}

func newHanding(event []byte, timeout time.Duration) *handing {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	h := fmt.Sprintf("%x", b)
	return &handing{id: h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:],
		event: event, deadline: time.Now().Add(timeout)}
}

// bodyOf takes the rows out of the envelope, where body is JSON or a text of it.
func bodyOf(response []byte) ([]any, error) {
	var envelope struct {
		Response struct {
			ResponseBody map[string]struct {
				Body json.RawMessage `json:"body"`
			} `json:"responseBody"`
		} `json:"response"`
	}
	if err := json.Unmarshal(response, &envelope); err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	content, found := envelope.Response.ResponseBody["application/json"]
	if !found {
		return nil, fmt.Errorf("the answer has no body: %.200s", response)
	}
	text := []byte(content.Body)
	if len(text) > 0 && text[0] == '"' {
		var inner string
		if err := json.Unmarshal(text, &inner); err != nil {
			return nil, err
		}
		text = []byte(inner)
	}
	var rows []any
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("the body is no array: %w", err)
	}
	return rows, nil
}
