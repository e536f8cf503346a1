package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
)

// poll asks for one ScaledObject once.
type poll func(ctx context.Context) error

// workers ask at the same time, at most: more would measure this program's own queue.
const workers = 100

func config(name, namespace string, index int, metadata map[string]string) *scalersconfig.ScalerConfig {
	return &scalersconfig.ScalerConfig{
		ScalableObjectName:      name,
		ScalableObjectNamespace: namespace,
		ScalableObjectType:      "ScaledObject",
		GlobalHTTPTimeout:       3 * time.Second, // the operator's default
		TriggerIndex:            index,
		TriggerMetadata:         metadata,
		AuthParams:              map[string]string{},
	}
}

// one asks a trigger as the operator does: specs, then values and activity for each.
func one(ctx context.Context, trigger scalers.Scaler) error {
	specs := trigger.GetMetricSpecForScaling(ctx)
	if len(specs) == 0 {
		return errors.New("no metric spec")
	}
	for _, spec := range specs {
		if _, _, err := trigger.GetMetricsAndActivity(ctx, spec.External.Metric.Name); err != nil {
			return err
		}
	}
	return nil
}

// names are the namespace of all ScaledObjects, and whether each has an HPA of its own.
type names struct {
	namespace string
	distinct  bool
}

func (of names) hpa(i int) string {
	if of.distinct {
		return fmt.Sprintf("keda-hpa-llm-%d", i)
	}
	return "keda-hpa-llm"
}

// external are n ScaledObjects with one prescale trigger of four targets each.
func external(n int, address string, of names) ([]poll, error) {
	var polls []poll
	for i := range n {
		trigger, err := scalers.NewExternalScaler(config(fmt.Sprintf("llm-%d", i), of.namespace, 0, map[string]string{
			"scalerAddress": address,
			"hpa":           of.hpa(i),
			"workload":      "deployment/llm",
			"maxReplicas":   "20",
			"queueDepth":    "5",
			"concurrency":   "16",
			"kvCache":       "0.7",
			"ttft":          "2s",
		}))
		if err != nil {
			return nil, err
		}
		polls = append(polls, func(ctx context.Context) error { return one(ctx, trigger) })
	}
	return polls, nil
}

// prometheus are n ScaledObjects with four prometheus triggers each.
func prometheus(n int, url, namespace string) ([]poll, error) {
	queries := []struct{ query, threshold string }{
		{`sum(vllm:num_requests_waiting{namespace="%s"})`, "5"},
		{`sum(vllm:num_requests_running{namespace="%s"})`, "16"},
		{`avg(vllm:kv_cache_usage_perc{namespace="%s"})`, "0.7"},
		{`histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket{namespace="%s"}[2m])))`, "2"},
	}
	var polls []poll
	for i := range n {
		var triggers []scalers.Scaler
		for index, q := range queries {
			trigger, err := scalers.NewPrometheusScaler(config(fmt.Sprintf("llm-%d", i), namespace, index, map[string]string{
				"serverAddress": url, "query": fmt.Sprintf(q.query, namespace), "threshold": q.threshold,
			}))
			if err != nil {
				return nil, err
			}
			triggers = append(triggers, trigger)
		}
		polls = append(polls, func(ctx context.Context) error { return inParallel(ctx, triggers) })
	}
	return polls, nil
}

func inParallel(ctx context.Context, triggers []scalers.Scaler) error {
	faults := make([]error, len(triggers))
	var all sync.WaitGroup
	for i, trigger := range triggers {
		all.Go(func() { faults[i] = one(ctx, trigger) })
	}
	all.Wait()
	return errors.Join(faults...)
}

// warm asks each until it answers, many at a time: connections are open, every scaler has ticked.
func warm(ctx context.Context, polls []poll) error {
	// A first call may wait 0.9 s for the first tick: 10 000 in turns of a hundred are 90 s.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	asking := min(len(polls), workers)
	faults := make([]error, asking)
	var all sync.WaitGroup
	for worker := range asking {
		all.Go(func() {
			for i := worker; i < len(polls) && faults[worker] == nil; i += asking {
				faults[worker] = untilAnswered(ctx, polls[i])
			}
		})
	}
	all.Wait()
	return errors.Join(faults...)
}

func untilAnswered(ctx context.Context, next poll) error {
	for {
		err := next(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not warm within five minutes: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// result is what one row shows.
type result struct {
	perSecond, p50, p99, cpu float64
	errors                   int
}

// measure goes round the polls in a closed loop for so long.
func measure(ctx context.Context, polls []poll, length time.Duration, pids ...int) result {
	before, begin := cpu(pids...), time.Now()
	asking := min(len(polls), workers)
	took, faults := make([][]float64, asking), make([]int, asking)
	var all sync.WaitGroup
	for worker := range asking {
		all.Go(func() {
			for i := worker; time.Since(begin) < length; i = (i + asking) % len(polls) {
				start := time.Now()
				if err := polls[i](ctx); err != nil {
					faults[worker]++
				}
				took[worker] = append(took[worker], float64(time.Since(start).Microseconds())/1000)
			}
		})
	}
	all.Wait()
	seconds, used := time.Since(begin).Seconds(), cpu(pids...)-before
	sorted := slices.Concat(took...)
	slices.Sort(sorted)
	r := result{
		perSecond: float64(len(sorted)) / seconds,
		p50:       sorted[len(sorted)/2],
		p99:       sorted[len(sorted)*99/100],
		cpu:       used.Seconds() * 1000 / float64(len(sorted)),
	}
	for _, n := range faults {
		r.errors += n
	}
	return r
}

// cpu is the processor time that processes have used together; Linux only, else 0.
func cpu(pids ...int) time.Duration {
	var ticks int
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0
		}
		// Fields after the command's closing bracket; user and system time are the 12th and 13th,
		// in ticks of 10 ms.
		_, rest, _ := strings.Cut(string(text), ") ")
		for _, field := range strings.Fields(rest)[11:13] {
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident is the memory of a process in MiB; Linux only, else 0.
func resident(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kib float64
	_, _ = fmt.Sscan(rest, &kib)
	return kib / 1024
}

// load is the load average of the last minute; Linux only, else empty.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	word, _, _ := strings.Cut(string(text), " ")
	return word
}
