// Package world is what prescale lives in: model servers' pages, a real Prometheus that scrapes
// them, and the prescale process itself. Tests and benchmarks change the load and look on.
//
// It is given where the binaries are; it promises that everything it started has ended after Close.
package world

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// World is a set of fleets, each alone in its namespace so that what one test did is not the
// history of the next, and the Prometheus that scrapes them each second.
type World struct {
	// PrometheusURL is where the Prometheus answers.
	PrometheusURL string

	fleets []*Fleet
	mutex  sync.Mutex
	taken  int
	pages  *http.Server
	prom   *Process
	folder string
}

// New starts a world of so many fleets with so many pod slots each.
func New(fleets, slots int) (*World, error) {
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, fmt.Errorf("no prometheus on PATH: %w", err)
	}
	folder, err := os.MkdirTemp("", "prescale-world-")
	if err != nil {
		return nil, err
	}
	w := &World{folder: folder}
	for i := range fleets {
		w.fleets = append(w.fleets, newFleet(fmt.Sprintf("ns-%d", i), slots))
	}
	address, err := w.serve()
	if err != nil {
		w.Close()
		return nil, err
	}
	if err := w.scrape(binary, address); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Fleet hands out a fleet that no other test has touched.
func (w *World) Fleet() *Fleet {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.taken == len(w.fleets) {
		panic("more tests than fleets: raise the number in New")
	}
	w.taken++
	return w.fleets[w.taken-1]
}

// Settle sets the load of a fleet and waits until Prometheus has seen it: a test begins with it, so
// that what was there before is not taken for an answer.
func (w *World) Settle(fleet *Fleet, load Load) error {
	fleet.Set(load)
	query := fmt.Sprintf(`kube_deployment_spec_replicas{namespace=%[1]q} == %[2]d and on (namespace) `+
		`kube_deployment_status_replicas_ready{namespace=%[1]q} == %[3]d`,
		fleet.Namespace, load.Replicas, load.Ready)
	if load.Ready > 0 {
		query += fmt.Sprintf(` and on (namespace) count by (namespace) `+
			`(vllm:num_requests_running{namespace=%q} == %g) == %d`, fleet.Namespace, load.Running, load.Ready)
	}
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		seen, err := w.isSeen(query)
		if seen || err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("Prometheus has not seen %+v of %s", load, fleet.Namespace)
}

// isSeen asks whether a query has a result.
func (w *World) isSeen(query string) (bool, error) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.PostForm(w.PrometheusURL+"/api/v1/query", url.Values{"query": {query}})
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	var body struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return false, err
	}
	if body.Error != "" {
		return false, errors.New(body.Error)
	}
	return len(body.Data.Result) > 0, nil
}

// Close ends everything that New started.
func (w *World) Close() {
	if w.prom != nil {
		_, _ = w.prom.Stop(5 * time.Second)
	}
	if w.pages != nil {
		_ = w.pages.Close()
	}
	_ = os.RemoveAll(w.folder)
}

// serve publishes the pages of all fleets on one port.
func (w *World) serve() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	for _, fleet := range w.fleets {
		mux.Handle("/"+fleet.Namespace+"/", fleet)
	}
	mux.HandleFunc("/kube", func(out http.ResponseWriter, _ *http.Request) {
		for _, fleet := range w.fleets {
			_, _ = out.Write([]byte(fleet.kubeState()))
		}
	})
	w.pages = &http.Server{Handler: mux}
	go func() { _ = w.pages.Serve(listener) }()
	return listener.Addr().String(), nil
}

// scrape starts Prometheus on the pages at address.
func (w *World) scrape(binary, address string) error {
	var b strings.Builder
	b.WriteString("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n")
	fmt.Fprintf(&b, "- job_name: kube-state-metrics\n  honor_labels: true\n  metrics_path: /kube\n")
	fmt.Fprintf(&b, "  static_configs: [{targets: [%q]}]\n- job_name: fleets\n  static_configs:\n", address)
	for _, fleet := range w.fleets {
		target := "  - {targets: [%q], labels: {namespace: %s, %s __metrics_path__: /%s/%s}}\n"
		fmt.Fprintf(&b, target, address, fleet.Namespace, "", fleet.Namespace, "gateway")
		for _, pod := range fleet.pods {
			label := "pod: " + pod + ","
			fmt.Fprintf(&b, target, address, fleet.Namespace, label, fleet.Namespace, pod)
		}
	}
	file := filepath.Join(w.folder, "prometheus.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return err
	}
	listen := FreeAddress()
	prom, err := start(binary, "--config.file="+file, "--web.listen-address="+listen,
		"--storage.tsdb.path="+filepath.Join(w.folder, "data"), "--log.level=warn")
	if err != nil {
		return err
	}
	w.prom, w.PrometheusURL = prom, "http://"+listen
	return prom.Ready(w.PrometheusURL+"/-/ready", 30*time.Second)
}

// lastPort was handed out last. Ports from here on are below those that systems give to outgoing
// connections (32768 on): one of these might take what was found free a moment ago.
var lastPort atomic.Int64

const (
	portMin   = 12000
	portCount = 20000
)

// FreeAddress is a loopback address on which nothing listens at the moment, another one each time.
func FreeAddress() string {
	lastPort.CompareAndSwap(0, int64(os.Getpid())*97)
	for range portCount {
		address := fmt.Sprintf("127.0.0.1:%d", portMin+lastPort.Add(1)%portCount)
		if listener, err := net.Listen("tcp", address); err == nil {
			_ = listener.Close()
			return address
		}
	}
	panic("no free port")
}

// Process is a child process, its output kept.
type Process struct {
	cmd    *exec.Cmd
	output *os.File
	done   chan struct{}
}

// start runs a binary with its output in a file of its own.
func start(binary string, args ...string) (*Process, error) {
	output, err := os.CreateTemp("", "prescale-output-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, output: output, done: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(p.done) }()
	return p, nil
}

// Ready waits until url answers 200, the process ends, or the time is over.
func (p *Process) Ready(url string, limit time.Duration) error {
	client := http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if answer, err := client.Get(url); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %s", p.cmd.Path, p.Output())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s not ready at %s after %s: %s", p.cmd.Path, url, limit, p.Output())
}

// Stop asks the process to end and returns its exit code; it is killed when the time is over.
func (p *Process) Stop(limit time.Duration) (int, error) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		_ = p.cmd.Process.Kill()
		<-p.done
		return -1, errors.New("did not end within " + limit.String())
	}
}

// Kill ends the process as a crash does: nothing is said, nothing is written.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Output is the end of what the process has printed.
func (p *Process) Output() string {
	text, err := os.ReadFile(p.output.Name())
	if err != nil {
		return err.Error()
	}
	const most = 8000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return string(text)
}

// Discard removes the kept output.
func (p *Process) Discard() {
	_ = p.output.Close()
	_ = os.Remove(p.output.Name())
}

// Prescale is a running prescale.
type Prescale struct {
	*Process
	// Address is where KEDA calls.
	Address string
	// HTTP is the base of the pages.
	HTTP string
}

// Binary is the prescale under test: PRESCALE_BIN, else the debug build seen from folder.
func Binary(folder string) (string, error) {
	if path := os.Getenv("PRESCALE_BIN"); path != "" {
		return path, nil
	}
	path, err := filepath.Abs(filepath.Join(folder, "../../target/debug/prescale"))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("build prescale first (cargo build), or set PRESCALE_BIN: %w", err)
	}
	return path, nil
}

// Serve starts `prescale serve` at address and waits until it is ready.
func Serve(binary, address string, args ...string) (*Prescale, error) {
	return ServeWith(binary, address, FreeAddress(), args...)
}

// ServeWith is Serve with the HTTP listener at page: others have to find it there.
func ServeWith(binary, address, page string, args ...string) (*Prescale, error) {
	args = append([]string{"serve", "--listen", address, "--http-listen", page}, args...)
	process, err := start(binary, args...)
	if err != nil {
		return nil, err
	}
	p := &Prescale{Process: process, Address: address, HTTP: "http://" + page}
	if err := p.Ready(p.HTTP+"/readyz", 20*time.Second); err != nil {
		_, _ = p.Stop(time.Second)
		return nil, err
	}
	return p, nil
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// PrometheusPid is the number of the Prometheus process.
func (w *World) PrometheusPid() int { return w.prom.Pid() }
