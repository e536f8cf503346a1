// The program compares one poll of prescale over gRPC with one poll of KEDA's own prometheus scaler
// on the same four signals (waiting, running, KV cache, p95 time to first token) of the same
// Prometheus, both through KEDA's client code, on this machine.
//
// A poll is what a keda-operator does for one ScaledObject: ask for the metric specs, then for
// values and activity; the four prometheus triggers of one ScaledObject are asked in parallel.
// Figures are for ratios: both ends share the cores.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/kedacore/keda/v2/pkg/util"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"prescale/tests/keda/world"
)

const pods = 8

func main() {
	counts := flag.String("scalers", "1,100,10000", "numbers of ScaledObjects to compare at")
	length := flag.Duration("duration", 15*time.Second, "how long to measure each row")
	distinct := flag.Bool("distinct", false, "a name of its own for the HPA of each ScaledObject, and so a query of its own per tick")
	flag.Parse()
	logf.SetLogger(logr.Discard())
	if err := run(*counts, *length, *distinct); err != nil {
		fmt.Fprintln(os.Stderr, "bench-keda:", err)
		os.Exit(1)
	}
}

func run(counts string, length time.Duration, distinct bool) error {
	// The transport that all prometheus scalers of an operator share, with the operator's defaults.
	transport := util.HTTPTransportConfig{
		MaxIdleConns: 0, MaxIdleConnsPerHost: 1000, IdleConnTimeout: 90 * time.Second,
	}
	if err := util.ConfigureHTTPTransport(transport); err != nil {
		return err
	}
	binary, err := world.Binary(".")
	if err != nil {
		return err
	}
	w, err := world.New(1, pods)
	if err != nil {
		return err
	}
	defer w.Close()
	fleet := w.Fleet()
	if err := w.Settle(fleet, world.Load{Replicas: pods, Ready: pods, Running: 6, Waiting: 1, KV: 0.4}); err != nil {
		return err
	}
	server, err := serve(binary, w.PrometheusURL)
	if err != nil {
		return err
	}
	defer server.Discard()
	defer func() { _, _ = server.Stop(12 * time.Second) }()

	row("scalers", "poll of", "polls/s", "p50 ms", "p99 ms", "errors", "server CPU ms/poll")
	// Each row is measured with all CPU time behind its polls: that of Prometheus, and of prescale
	// where prescale is asked.
	for _, word := range strings.Split(counts, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return fmt.Errorf("-scalers: %q is not a number of scalers", word)
		}
		if err := compare(n, length, server, w, names{fleet.Namespace, distinct}); err != nil {
			return err
		}
	}
	return nil
}

// row prints one line of the table.
func row(cells ...any) {
	fmt.Printf("%8v  %-19v %9v %10v %10v %7v %19v\n", cells...)
}

// serve starts prescale with room for every scaler in one namespace.
func serve(binary, prometheus string) (*world.Prescale, error) {
	folder, err := os.MkdirTemp("", "prescale-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	text := fmt.Sprintf("limits: {scalers: 20000, perNamespace: 20000}\ndatasources:\n  default: {url: %q}\n", prometheus)
	file := filepath.Join(folder, "prescale.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return world.Serve(binary, world.FreeAddress(), "--config", file)
}

// compare measures both at n scalers and prints two rows and their ratio.
func compare(n int, length time.Duration, server *world.Prescale, w *world.World, of names) error {
	polls, err := external(n, server.Address, of)
	if err != nil {
		return err
	}
	queries, err := prometheus(n, w.PrometheusURL, of.namespace)
	if err != nil {
		return err
	}
	// KEDA's triggers first: once they exist, prescale's scalers tick whether they are asked or not.
	theirs, err := side(n, "KEDA prometheus x4", queries, length, w.PrometheusPid())
	if err != nil {
		return err
	}
	ours, err := side(n, "prescale", polls, length, server.Pid(), w.PrometheusPid())
	if err != nil {
		return err
	}
	row(n, "prescale better by", short(ours.perSecond/theirs.perSecond), short(theirs.p50/ours.p50),
		short(theirs.p99/ours.p99), "", short(theirs.cpu/ours.cpu))
	idle(n, server.Pid(), w.PrometheusPid())
	return nil
}

// side warms the polls of one side, measures them and prints their row.
func side(n int, name string, polls []poll, length time.Duration, pids ...int) (result, error) {
	begin := time.Now()
	if err := warm(context.Background(), polls); err != nil {
		return result{}, fmt.Errorf("%s at %d scalers: %w", name, n, err)
	}
	fmt.Printf("%8d  %s: each answered once after %.1f s\n", n, name, time.Since(begin).Seconds())
	r := measure(context.Background(), polls, length, pids...)
	row(n, name, short(r.perSecond), short(r.p50), short(r.p99), r.errors, short(r.cpu))
	return r, nil
}

// idle prints what prescale's ticks cost while nobody asks: its own CPU time and Prometheus's, as
// shares of one core, and its memory.
func idle(n int, prescale, prometheus int) {
	ours, theirs, begin := cpu(prescale), cpu(prometheus), time.Now()
	// Two ticks of 15 s: whole ones, since all scalers tick at the same instants.
	time.Sleep(30 * time.Second)
	seconds := time.Since(begin).Seconds()
	fmt.Printf("%8d  unasked: prescale %.1f %% of a core, Prometheus %.1f %%; prescale %.0f MiB resident; load %s\n", n,
		100*(cpu(prescale)-ours).Seconds()/seconds, 100*(cpu(prometheus)-theirs).Seconds()/seconds,
		resident(prescale), load())
}

// short keeps three digits, and all before the point.
func short(value float64) string {
	if value >= 100 {
		return fmt.Sprintf("%.0f", value)
	}
	return fmt.Sprintf("%.3g", value)
}
