package keda

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"

	"prescale/tests/keda/world"
)

const (
	// idleAfter of every sleeper, and the cold start that its user gave: it cannot be shorter.
	idleAfter = 20 * time.Second
	// pollingInterval is shorter than KEDA's least, so that a false between two polls is seen.
	pollingInterval = time.Second
	// cooldownPeriod begins with the last poll that was active.
	cooldownPeriod = 5 * time.Second
)

// sleeper is a model at zero with all that stands around it: the gate, one or more prescales, KEDA
// and a Deployment whose pod is a model server.
type sleeper struct {
	t          *testing.T
	deployment *world.Deployment
	gate       *world.Gate
	prescales  []*process
	keda       *keda
}

// process is a prescale that can be started again as it was.
type process struct {
	*world.Prescale
	address, page string
	args          []string
}

// story is how one sleeper differs from another.
type story struct {
	// loads is how long a pod loads; zero: for ever.
	loads time.Duration
	// holdFor is how long the gate lets requests wait.
	holdFor time.Duration
	// processes of prescale; zero is one.
	processes int
	// service has KEDA reach them through one: it is connected to one at a time, and wakes begin with
	// another. Else it asks them all.
	service bool
	// metadata beside what all have.
	metadata map[string]string
}

// asleepBehindAGate starts it all and waits until prescale says that the model sleeps.
func asleepBehindAGate(t *testing.T, it story) *sleeper {
	t.Helper()
	fleet := shared.Fleet()
	s := &sleeper{t: t, deployment: world.NewDeployment(fleet, it.loads)}
	t.Cleanup(func() { s.deployment.Scale(0) })
	if err := shared.Settle(fleet, world.Load{}); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	token := filepath.Join(folder, "token")
	write(t, token, "a-token-of-the-end-to-end-test")
	s.start(folder, token, max(1, it.processes))

	var addresses, pages []string
	for _, p := range s.prescales {
		addresses, pages = append(addresses, p.address), append([]string{p.page}, pages...)
	}
	wakes := service(t, pages)
	if it.service {
		addresses = []string{service(t, addresses)}
	}
	config := filepath.Join(folder, "gate.yaml")
	write(t, config, fmt.Sprintf("wake: {url: 'http://%s', tokenFile: %s}\nholdFor: %ds\nroutes:\n"+
		"- scaledObject: %s/llm\n  upstream: http://%s\n",
		wakes, token, int(it.holdFor.Seconds()), fleet.Namespace, s.deployment.Upstream))
	var err error
	if s.gate, err = world.StartGate(binary, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Nobody notices any more; its lame duck would cost five seconds.
		s.gate.Kill()
		if t.Failed() {
			t.Logf("the gate said:\n%s", s.gate.Output())
		}
		s.gate.Discard()
	})
	fleet.Page("gateway", s.gate.Admin+"/metrics")

	metadata := map[string]string{
		"gateway": "prescale-gate", "workload": "deployment/llm", "maxReplicas": "1", "tick": "5s",
		"concurrency": "8", "idleAfter": span(idleAfter), "scaleUpForward": span(idleAfter),
	}
	for key, value := range it.metadata {
		metadata[key] = value
	}
	s.keda = operate(t, s.deployment, addresses, fleet.Namespace, metadata)
	s.until("sleep", 40*time.Second, func() bool { return s.keda.allSay(false) })
	return s
}

// service is the address of a Service of these.
func service(t *testing.T, behind []string) string {
	t.Helper()
	front, err := world.NewFront(behind...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Close)
	return front.Address
}

func (s *sleeper) start(folder, token string, processes int) {
	s.t.Helper()
	for range processes {
		s.prescales = append(s.prescales, &process{address: world.FreeAddress(), page: world.FreeAddress()})
	}
	for i, p := range s.prescales {
		data := filepath.Join(folder, fmt.Sprintf("data-%d", i))
		if err := os.Mkdir(data, 0o700); err != nil {
			s.t.Fatal(err)
		}
		text := "wake: {tokenFile: " + token + "}\n"
		var peers []string
		for _, other := range s.prescales {
			if other != p {
				peers = append(peers, "http://"+other.page)
			}
		}
		if len(peers) > 0 {
			text += "peers: '" + strings.Join(peers, ",") + "'\n"
		}
		file := filepath.Join(folder, fmt.Sprintf("prescale-%d.yaml", i))
		write(s.t, file, text)
		p.args = []string{"--config", file, "--data-dir", data, "--prometheus-url", shared.PrometheusURL}
		s.begin(p)
	}
}

// begin starts a prescale, or starts it again.
func (s *sleeper) begin(p *process) {
	s.t.Helper()
	var err error
	if p.Prescale, err = world.ServeWith(binary, p.address, p.page, p.args...); err != nil {
		s.t.Fatal(err)
	}
	running := p.Prescale
	s.t.Cleanup(func() {
		running.Kill()
		if s.t.Failed() {
			s.t.Logf("prescale at %s said:\n%s", p.address, running.Output())
		}
		running.Discard()
	})
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func span(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) + "s" }

// until waits for something that has to come.
func (s *sleeper) until(what string, limit time.Duration, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	s.t.Fatalf("no %s within %s; KEDA saw:\n%s", what, limit, s.keda)
}

// gauge is a sample of the gate's page, summed over labels.
func (s *sleeper) gauge(name string) float64 {
	return sum(s.t, s.gate.Admin+"/metrics", name)
}

// sum adds up the samples on a page that begin so.
func sum(t *testing.T, url, begin string) float64 {
	t.Helper()
	_, page := get(t, url)
	total, found := 0.0, false
	for line := range strings.Lines(page) {
		if at := strings.LastIndex(line, " "); strings.HasPrefix(line, begin) && at > 0 {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			total, found = total+value, true
		}
	}
	if !found {
		t.Fatalf("no %s at %s", begin, url)
	}
	return total
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// keda is what a keda-operator and the HPA do with one ScaledObject: the push stream wakes, polls
// wake as well and put to sleep, an error changes nothing. With several prescales it asks each.
type keda struct {
	asked      []scalers.Scaler
	streams    []*push
	deployment *world.Deployment

	mutex sync.Mutex
	polls [][]poll
	scale []scaling
}

// poll is one answer of one prescale.
type poll struct {
	at     time.Time
	active bool
	err    error
}

// scaling is a change of the replicas.
type scaling struct {
	at       time.Time
	replicas int
}

func operate(t *testing.T, deployment *world.Deployment, addresses []string, namespace string,
	metadata map[string]string) *keda {
	t.Helper()
	k := &keda{deployment: deployment, polls: make([][]poll, len(addresses))}
	for _, address := range addresses {
		config := trigger(address, namespace, "llm", metadata)
		k.asked = append(k.asked, pull(t, config))
		k.streams = append(k.streams, open(t, config))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return k
}

// run is KEDA's two loops: one for what is pushed, one for what is polled.
func (k *keda) run(ctx context.Context) {
	var both sync.WaitGroup
	defer both.Wait()
	pushed := make(chan struct{}, 1)
	both.Go(func() {
		for heard := time.Now(); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			for _, stream := range k.streams {
				for _, message := range stream.since(heard) {
					heard = message.at
					if message.active {
						k.to(1)
						select {
						case pushed <- struct{}{}:
						default:
						}
					}
				}
			}
		}
	})
	lastActive := time.Now()
	for every := time.NewTicker(pollingInterval); ; {
		select {
		case <-ctx.Done():
			return
		case <-pushed:
			lastActive = time.Now()
		case <-every.C:
			active, failed := k.poll(ctx)
			switch {
			case active:
				lastActive = time.Now()
				k.to(1)
			case !failed && time.Since(lastActive) > cooldownPeriod:
				k.to(0)
			}
		}
	}
}

// poll asks every prescale once, all at the same time.
func (k *keda) poll(ctx context.Context) (active, failed bool) {
	answers := make([]poll, len(k.asked))
	var all sync.WaitGroup
	for i, scaler := range k.asked {
		all.Go(func() {
			short, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			at := time.Now()
			_, active, err := scaler.GetMetricsAndActivity(short, metric)
			answers[i] = poll{at, active, err}
		})
	}
	all.Wait()
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for i, answer := range answers {
		k.polls[i] = append(k.polls[i], answer)
		active = active || answer.active
		failed = failed || answer.err != nil
	}
	// One that is dead is not asked by KEDA: its connection goes to the other.
	return active, failed && len(answers) == 1
}

func (k *keda) to(replicas int) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.deployment.Replicas() != replicas {
		k.deployment.Scale(replicas)
		k.scale = append(k.scale, scaling{time.Now(), replicas})
	}
}

// allSay is whether the last answers of all prescales were numbers, and active or not.
func (k *keda) allSay(active bool) bool {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for _, polls := range k.polls {
		if len(polls) == 0 || polls[len(polls)-1].err != nil || polls[len(polls)-1].active != active {
			return false
		}
	}
	return true
}

// answers of one prescale that were asked for from `from` on and before `to`; errors are left out.
func (k *keda) answers(i int, from, to time.Time) []poll {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	var some []poll
	for _, answer := range k.polls[i] {
		if answer.err == nil && !answer.at.Before(from) && answer.at.Before(to) {
			some = append(some, answer)
		}
	}
	return some
}

// errors of one prescale in the same span.
func (k *keda) errors(i int, from, to time.Time) []poll {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	var some []poll
	for _, answer := range k.polls[i] {
		if answer.err != nil && !answer.at.Before(from) && answer.at.Before(to) {
			some = append(some, answer)
		}
	}
	return some
}

// scalings since then.
func (k *keda) scalings(from time.Time) []scaling {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	var some []scaling
	for _, change := range k.scale {
		if change.at.After(from) {
			some = append(some, change)
		}
	}
	return some
}

// String tells the turns in what was answered, and what was scaled.
func (k *keda) String() string {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	var b strings.Builder
	for i, polls := range k.polls {
		said := ""
		for _, answer := range polls {
			now := fmt.Sprintf("active %t", answer.active)
			if answer.err != nil {
				now = "error " + answer.err.Error()
			}
			if now != said {
				fmt.Fprintf(&b, "  %s prescale %d: %s\n", answer.at.Format("15:04:05.000"), i, now)
			}
			said = now
		}
	}
	for _, change := range k.scale {
		fmt.Fprintf(&b, "  %s scaled to %d\n", change.at.Format("15:04:05.000"), change.replicas)
	}
	return b.String()
}

// awake fails if a prescale said anything but active in answers from `from` on and before `to`.
func (s *sleeper) awake(i int, from, to time.Time) {
	s.t.Helper()
	answers := s.keda.answers(i, from, to)
	for _, answer := range answers {
		if !answer.active {
			s.t.Fatalf("prescale %d said inactive at %s, between %s and %s; KEDA saw:\n%s", i,
				answer.at.Format("15:04:05.000"), from.Format("15:04:05.000"), to.Format("15:04:05.000"), s.keda)
		}
	}
	if to.Sub(from) > 5*pollingInterval && len(answers) == 0 {
		s.t.Fatalf("prescale %d answered nothing; KEDA saw:\n%s", i, s.keda)
	}
}

// sleepsAfter waits until every prescale that lives says inactive, and says when the first did.
func (s *sleeper) sleepsAfter(from time.Time, limit time.Duration, living ...int) time.Time {
	s.t.Helper()
	var first time.Time
	s.until("sleep", limit, func() bool {
		asleep := 0
		for _, i := range living {
			for _, answer := range s.keda.answers(i, from, time.Now()) {
				if !answer.active {
					asleep++
					if first.IsZero() || answer.at.Before(first) {
						first = answer.at
					}
					break
				}
			}
		}
		return asleep == len(living)
	})
	return first
}

// request is a chat completion under way.
type request struct {
	sent   time.Time
	cancel context.CancelFunc

	done   chan struct{}
	ended  time.Time
	status int
	header http.Header
	body   string
	tokens []token
	whole  bool
	err    error
}

// token is when one was made and when it arrived.
type token struct{ made, arrived time.Time }

// ask sends a streaming chat completion of so many tokens to the gate.
func (s *sleeper) ask(tokens int) *request {
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	r := &request{sent: time.Now(), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.run(ctx, s.gate.URL, tokens)
		r.ended = time.Now()
	}()
	return r
}

func (r *request) run(ctx context.Context, gate string, tokens int) {
	body := fmt.Sprintf(`{"model":"tiny","stream":true,"max_tokens":%d,`+
		`"messages":[{"role":"user","content":"Hello"}]}`, tokens)
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, gate+"/v1/chat/completions",
		strings.NewReader(body))
	if err != nil {
		r.err = err
		return
	}
	post.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(post)
	if err != nil {
		r.err = err
		return
	}
	defer answer.Body.Close()
	r.status, r.header = answer.StatusCode, answer.Header
	if answer.StatusCode != http.StatusOK {
		text, err := io.ReadAll(answer.Body)
		r.body, r.err = string(text), err
		return
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		data, isData := strings.CutPrefix(lines.Text(), "data: ")
		if !isData {
			continue
		}
		if r.whole = data == "[DONE]"; r.whole {
			continue
		}
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if r.err = json.Unmarshal([]byte(data), &chunk); r.err != nil {
			return
		}
		made, err := strconv.ParseInt(chunk.Choices[0].Delta.Content, 10, 64)
		if err != nil {
			r.err = err
			return
		}
		r.tokens = append(r.tokens, token{time.Unix(0, made), time.Now()})
	}
	r.err = lines.Err()
}

// end waits for the end of a request.
func (s *sleeper) end(r *request, limit time.Duration) {
	s.t.Helper()
	select {
	case <-r.done:
	case <-time.After(limit):
		s.t.Fatalf("no end of a request within %s; KEDA saw:\n%s", limit, s.keda)
	}
}

// answered waits for the whole answer, streamed: 200, every token, each soon after it was made.
func (s *sleeper) answered(r *request, tokens int, limit time.Duration) {
	s.t.Helper()
	s.end(r, limit)
	if r.err != nil || r.status != http.StatusOK || len(r.tokens) != tokens || !r.whole {
		s.t.Fatalf("status %d, %d of %d tokens, whole %t, error %v, %s; KEDA saw:\n%s",
			r.status, len(r.tokens), tokens, r.whole, r.err, r.body, s.keda)
	}
	first, last := r.tokens[0], r.tokens[tokens-1]
	if tokens > 1 && !first.arrived.Before(last.made) {
		s.t.Errorf("not streamed: the first token arrived at %s, the last was made at %s", first.arrived, last.made)
	}
}

// refused waits for a 503 that says when to come back, and returns after how long that is.
func (s *sleeper) refused(r *request, code string, limit time.Duration) time.Duration {
	s.t.Helper()
	s.end(r, limit)
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if r.err != nil || r.status != http.StatusServiceUnavailable || err != nil || seconds < 1 ||
		!strings.Contains(r.body, `"`+code+`"`) {
		s.t.Fatalf("want 503 %s with Retry-After, got %d, Retry-After %q, error %v: %s; KEDA saw:\n%s",
			code, r.status, r.header.Get("Retry-After"), r.err, r.body, s.keda)
	}
	return time.Duration(seconds) * time.Second
}
