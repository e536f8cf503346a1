// Package keda drives a running prescale with KEDA's own client code: what these tests see is what
// a keda-operator sees. Expected values are the contract of the README, not what was observed.
package keda

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"prescale/tests/keda/world"
)

// metric is the one metric's name as the HPA of a first trigger knows it.
const metric = "s0-prescale-replicas"

var (
	binary string
	shared *world.World
	logs   = &logLines{}
)

func TestMain(m *testing.M) {
	// Whoever runs beside others waits most of the time, so it need not be one for each core.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	logf.SetLogger(funcr.New(logs.add, funcr.Options{Verbosity: 1}))
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if binary, err = world.Binary("."); err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		return 1
	}
	if shared, err = world.New(16, 2); err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		return 1
	}
	defer shared.Close()
	return m.Run()
}

// logLines keeps what KEDA's scalers log, with the time.
type logLines struct {
	mutex sync.Mutex
	lines []logLine
}

type logLine struct {
	at   time.Time
	text string
}

func (l *logLines) add(_, text string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.lines = append(l.lines, logLine{time.Now(), text})
}

// since are the lines later than at.
func (l *logLines) since(at time.Time) []logLine {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var later []logLine
	for _, line := range l.lines {
		if line.at.After(at) {
			later = append(later, line)
		}
	}
	return later
}

// serve starts prescale on the shared Prometheus (or what args say) and ends it with the test.
func serve(t *testing.T, args ...string) *world.Prescale {
	t.Helper()
	return serveAt(t, world.FreeAddress(), args...)
}

func serveAt(t *testing.T, address string, args ...string) *world.Prescale {
	t.Helper()
	if len(args) == 0 {
		args = []string{"--prometheus-url", shared.PrometheusURL}
	}
	p, err := world.Serve(binary, address, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = p.Stop(12 * time.Second)
		if t.Failed() {
			t.Logf("prescale said:\n%s", p.Output())
		}
		p.Discard()
	})
	return p
}

// settled is a fleet of its own for this test, with a load that Prometheus has seen.
func settled(t *testing.T, load world.Load) *world.Fleet {
	t.Helper()
	fleet := shared.Fleet()
	if err := shared.Settle(fleet, load); err != nil {
		t.Fatal(err)
	}
	return fleet
}

// trigger is the configuration that a keda-operator would build for the ScaledObject `name`.
func trigger(address, namespace, name string, metadata map[string]string) *scalersconfig.ScalerConfig {
	all := maps.Clone(metadata)
	if all == nil {
		all = map[string]string{}
	}
	all["scalerAddress"] = address
	return &scalersconfig.ScalerConfig{
		ScalableObjectName:      name,
		ScalableObjectNamespace: namespace,
		ScalableObjectType:      "ScaledObject",
		TriggerMetadata:         all,
		AuthParams:              map[string]string{},
	}
}

func pull(t *testing.T, config *scalersconfig.ScalerConfig) scalers.Scaler {
	t.Helper()
	scaler, err := scalers.NewExternalScaler(config)
	if err != nil {
		t.Fatal(err)
	}
	return scaler
}

// answer is one call of GetMetricsAndActivity.
type answer struct {
	value  float64
	active bool
	err    error
	took   time.Duration
}

func (a answer) String() string {
	return fmt.Sprintf("value %g, active %t, error %v, after %s", a.value, a.active, a.err, a.took)
}

// ask polls once. Whatever the circumstances: one metric of the right name, a whole number, active
// exactly when it is above zero, or an error; and within the server's own deadline.
func ask(t *testing.T, scaler scalers.Scaler) answer {
	t.Helper()
	begin := time.Now()
	values, active, err := scaler.GetMetricsAndActivity(context.Background(), metric)
	a := answer{active: active, err: err, took: time.Since(begin)}
	// GetMetrics and IsActive are two calls with a deadline of 1 s each; the rest is for the machine.
	if a.took > 3*time.Second {
		t.Errorf("an answer took %s", a.took)
	}
	if err != nil {
		return a
	}
	if len(values) != 1 || values[0].MetricName != metric {
		t.Fatalf("want one value of %s, got %v", metric, values)
	}
	milli := values[0].Value.MilliValue()
	a.value = float64(milli) / 1000
	if milli%1000 != 0 || milli < 0 || active != (milli > 0) {
		t.Errorf("not a number of replicas that agrees with the activity: %s", a)
	}
	return a
}

// eventually polls until wanted is true; every answer on the way must pass allowed.
func eventually(t *testing.T, what string, limit time.Duration, scaler scalers.Scaler,
	wanted, allowed func(answer) bool) answer {
	t.Helper()
	var last answer
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		last = ask(t, scaler)
		if wanted(last) {
			return last
		}
		if !allowed(last) {
			t.Fatalf("on the way to %s: %s", what, last)
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Fatalf("no %s within %s; last: %s", what, limit, last)
	return last
}

func value(n float64) func(answer) bool {
	return func(a answer) bool { return a.err == nil && a.value == n }
}

// errorOr allows an error (KEDA holds) and what numbers pass.
func errorOr(numbers func(answer) bool) func(answer) bool {
	return func(a answer) bool { return a.err != nil || numbers(a) }
}

func atLeast(n float64) func(answer) bool {
	return func(a answer) bool { return a.err == nil && a.value >= n }
}

// push opens a stream as KEDA does and collects what arrives.
type push struct {
	mutex sync.Mutex
	seen  []pushed
}

type pushed struct {
	at     time.Time
	active bool
}

func open(t *testing.T, config *scalersconfig.ScalerConfig) *push {
	t.Helper()
	scaler, err := scalers.NewExternalPushScaler(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	channel := make(chan bool)
	p := &push{}
	go scaler.Run(ctx, channel)
	go func() {
		for active := range channel {
			p.mutex.Lock()
			p.seen = append(p.seen, pushed{time.Now(), active})
			p.mutex.Unlock()
		}
	}()
	return p
}

// since are the messages later than at.
func (p *push) since(at time.Time) []pushed {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var later []pushed
	for _, message := range p.seen {
		if message.at.After(at) {
			later = append(later, message)
		}
	}
	return later
}

// waitTrue waits for a message later than at and returns when it came.
func (p *push) waitTrue(t *testing.T, at time.Time, limit time.Duration) time.Time {
	t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if later := p.since(at); len(later) > 0 {
			return later[0].at
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("nothing pushed within %s", limit)
	return time.Time{}
}

// neverFalse fails if inactivity was ever pushed: KEDA decides on sleep by polling only.
func (p *push) neverFalse(t *testing.T) {
	t.Helper()
	for _, message := range p.since(time.Time{}) {
		if !message.active {
			t.Errorf("false was pushed at %s", message.at)
		}
	}
}
