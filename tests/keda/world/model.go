package world

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// TokenEvery is how often a model server says another token: a long answer is a number of these.
	TokenEvery = 500 * time.Millisecond
	// refusesFor is how long a new pod has no open port: its container is being started.
	refusesFor = time.Second
	// waitsFor is how long a request stands in the server's queue.
	waitsFor = 200 * time.Millisecond
)

// Deployment is the workload of a fleet with one pod at most, and that one is real: it refuses
// connections, then answers /health with 503 while it loads, then serves chat completions token by
// token, and its page shows what it serves.
type Deployment struct {
	// Upstream is where the pod listens, whichever it is.
	Upstream string

	fleet    *Fleet
	loads    time.Duration
	mutex    sync.Mutex
	replicas int
	gone     int
	end      context.CancelFunc
	server   *server
	readyAt  time.Time
	received int
	cut      int
}

// NewDeployment has no replicas yet. A pod takes `loads` to become ready; zero: it never does.
func NewDeployment(fleet *Fleet, loads time.Duration) *Deployment {
	d := &Deployment{Upstream: FreeAddress(), fleet: fleet, loads: loads}
	fleet.Page("pod", "http://"+d.Upstream+"/metrics")
	fleet.Set(Load{})
	return d
}

// Scale is what KEDA and the HPA do: the pod is started, or ended with all that it serves.
func (d *Deployment) Scale(replicas int) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if replicas == d.replicas {
		return
	}
	d.replicas = replicas
	if replicas == 0 {
		d.end()
		d.gone++
		d.fleet.Set(Load{Gone: d.gone})
		return
	}
	created := time.Now()
	if d.loads == 0 {
		// A pod is on its way for six minutes before it counts as stuck; nobody wants to wait here.
		created = created.Add(-7 * time.Minute)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.end = cancel
	d.fleet.Set(Load{Replicas: 1, Gone: d.gone, Created: created})
	go d.live(ctx, Load{Replicas: 1, Ready: 1, Gone: d.gone, Created: created, LoadedIn: d.loads})
}

// live is the life of one pod.
func (d *Deployment) live(ctx context.Context, ready Load) {
	pause := func(span time.Duration) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(span):
			return true
		}
	}
	if !pause(refusesFor) {
		return
	}
	server := &server{deployment: d}
	listener, err := net.Listen("tcp", d.Upstream)
	if err != nil {
		panic(err)
	}
	pages := &http.Server{Handler: server}
	go func() { _ = pages.Serve(listener) }()
	defer func() {
		_ = pages.Close()
		d.mutex.Lock()
		defer d.mutex.Unlock()
		d.cut += server.inFlight()
	}()
	if d.loads == 0 || !pause(d.loads-refusesFor) {
		<-ctx.Done()
		return
	}
	server.set(func() { server.ready = true })
	d.mutex.Lock()
	if ctx.Err() == nil {
		d.readyAt = time.Now()
		d.fleet.Set(ready)
	}
	d.mutex.Unlock()
	<-ctx.Done()
}

// Replicas there are.
func (d *Deployment) Replicas() int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.replicas
}

// ReadyAt is when the last pod became ready; zero: none did.
func (d *Deployment) ReadyAt() time.Time {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.readyAt
}

// Received completions, and how many answers were cut off because a pod was taken away.
func (d *Deployment) Received() (received, cut int) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.received, d.cut
}

// server is what runs in a pod.
type server struct {
	deployment *Deployment
	mutex      sync.Mutex
	ready      bool
	load       Load
}

func (s *server) set(change func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change()
}

func (s *server) now() (load Load, ready bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.load, s.ready
}

func (s *server) inFlight() int {
	load, _ := s.now()
	return int(load.Running + load.Waiting)
}

// ServeHTTP is the part of vLLM's API that matters here.
func (s *server) ServeHTTP(out http.ResponseWriter, request *http.Request) {
	load, ready := s.now()
	switch {
	case !ready:
		http.Error(out, "loading", http.StatusServiceUnavailable)
	case request.URL.Path == "/health":
		out.WriteHeader(http.StatusOK)
	case request.URL.Path == "/metrics":
		load.KV = 0.05 * load.Running
		_, _ = out.Write([]byte(enginePage(load)))
	case request.URL.Path == "/v1/chat/completions":
		s.complete(out, request)
	default:
		http.NotFound(out, request)
	}
}

// complete answers with max_tokens tokens; each is the time at which it was made, in nanoseconds.
func (s *server) complete(out http.ResponseWriter, request *http.Request) {
	s.deployment.mutex.Lock()
	s.deployment.received++
	s.deployment.mutex.Unlock()
	var asked struct {
		MaxTokens int `json:"max_tokens"`
	}
	if err := json.NewDecoder(request.Body).Decode(&asked); err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	s.set(func() { s.load.Waiting++ })
	time.Sleep(waitsFor)
	s.set(func() { s.load.Waiting--; s.load.Running++ })
	defer s.set(func() { s.load.Running-- })
	out.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	flush := http.NewResponseController(out)
	for range asked.MaxTokens {
		token := strconv.FormatInt(time.Now().UnixNano(), 10)
		_, err := fmt.Fprintf(out, `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%s"}}]}`+"\n\n", token)
		if err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-request.Context().Done():
			return
		case <-time.After(TokenEvery):
		}
	}
	_, _ = fmt.Fprint(out, "data: [DONE]\n\n")
}

// Gate is a running `prescale gate`.
type Gate struct {
	*Process
	// URL is where clients send their requests.
	URL string
	// Admin is the base of its own pages.
	Admin string
}

// StartGate starts a gate with this configuration, listeners left out, and waits until it is ready.
func StartGate(binary, file string) (*Gate, error) {
	listen, admin := FreeAddress(), FreeAddress()
	process, err := start(binary, "gate", "--config", file, "--listen", listen, "--admin-listen", admin)
	if err != nil {
		return nil, err
	}
	g := &Gate{Process: process, URL: "http://" + listen, Admin: "http://" + admin}
	if err := g.Ready(g.Admin+"/readyz", 20*time.Second); err != nil {
		g.Kill()
		return nil, err
	}
	return g, nil
}
