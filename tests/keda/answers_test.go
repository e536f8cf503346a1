package keda

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v2 "k8s.io/api/autoscaling/v2"

	"prescale/tests/keda/world"
)

// Both targets make the arithmetic plain: 8 requests in flight per replica, nothing learned.
func plain() map[string]string {
	return map[string]string{
		"concurrency":   "8",
		"maxReplicas":   "20",
		"scaleStrategy": "reactive",
		"tick":          "5s",
	}
}

func TestTheMetricSpecIsTheSameWhateverIsWrong(t *testing.T) {
	dead := "http://" + world.FreeAddress()
	healthy, blind := serve(t), serve(t, "--prometheus-url", dead)
	rows := []struct {
		name     string
		server   *world.Prescale
		metadata map[string]string
	}{
		{"all is well", healthy, plain()},
		{"no metadata", healthy, nil},
		{"wrong metadata", healthy, map[string]string{"kvCache": "85", "queueDeph": "x"}},
		{"dead Prometheus", blind, plain()},
	}
	for _, row := range rows {
		for index, want := range map[int]string{0: metric, 3: "s3-prescale-replicas"} {
			config := trigger(row.server.Address, "ns-any", "llm", row.metadata)
			config.TriggerIndex = index
			specs := pull(t, config).GetMetricSpecForScaling(context.Background())
			if len(specs) != 1 || specs[0].External == nil {
				t.Errorf("%s: want one external metric, got %v", row.name, specs)
				continue
			}
			target, name := specs[0].External.Target, specs[0].External.Metric.Name
			isOne := target.Type == v2.AverageValueMetricType && target.AverageValue.MilliValue() == 1000
			if name != want || !isOne {
				t.Errorf("%s: want %s with an average of 1, got %s with %v", row.name, want, name, target)
			}
		}
	}
}

func TestTheValueIsTheNumberOfReplicasThatTheLoadNeeds(t *testing.T) {
	fleet := settled(t, world.Load{Replicas: 1, Ready: 1, Running: 40, KV: 0.2})
	scaler := pull(t, trigger(serve(t).Address, fleet.Namespace, "llm", plain()))
	up := errorOr(atLeast(1))
	first := eventually(t, "5 replicas for 40 requests", 40*time.Second, scaler, value(5), up)
	t.Logf("5 replicas: %s", first)

	fleet.Set(world.Load{Replicas: 1, Ready: 1, Running: 80, KV: 0.2})
	eventually(t, "10 replicas for 80 requests", 20*time.Second, scaler, value(10), atLeast(5))

	// The larger need of the last minute at least counts: a lull is not a reason to go down.
	fleet.Set(world.Load{Replicas: 1, Ready: 1, Running: 8, KV: 0.1})
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if a := ask(t, scaler); !atLeast(10)(a) {
			t.Fatalf("went down within the window: %s", a)
		}
	}
}

func TestWhatIsWrongReachesTheUser(t *testing.T) {
	fleet := shared.Fleet()
	healthy, blind := serve(t), serve(t, "--prometheus-url", "http://"+world.FreeAddress())
	wrong := map[string]string{"queueDeph": "5", "kvCache": "85"}
	rows := []struct {
		name     string
		server   *world.Prescale
		metadata map[string]string
		codes    []codes.Code
		says     []string
	}{
		{"a misspelled key and a percent without its sign, both at once", healthy, wrong,
			[]codes.Code{codes.InvalidArgument}, []string{"queueDeph", "queueDepth", "kvCache", "85"}},
		{"a data source that the server does not have", healthy, map[string]string{"datasource": "attic"},
			[]codes.Code{codes.InvalidArgument, codes.FailedPrecondition}, []string{"datasource", "attic"}},
		{"a dead Prometheus", blind, plain(),
			[]codes.Code{codes.Unavailable, codes.FailedPrecondition}, []string{"default"}},
		{"a workload that has never had a pod", healthy, plain(),
			[]codes.Code{codes.Unavailable, codes.FailedPrecondition}, []string{"vllm:num_requests_waiting"}},
	}
	for _, row := range rows {
		scaler := pull(t, trigger(row.server.Address, fleet.Namespace, "nobody", row.metadata))
		said := func(a answer) bool {
			seen := status.Convert(a.err)
			isNamed := slices.Contains(row.codes, seen.Code()) && !strings.Contains(seen.Message(), "\n")
			for _, word := range row.says {
				isNamed = isNamed && strings.Contains(seen.Message(), word)
			}
			return isNamed
		}
		// The first tick may still be under way at the first call; a number is wrong at any time.
		what := fmt.Sprintf("%v of one line naming %v (%s)", row.codes, row.says, row.name)
		isError := func(a answer) bool { return a.err != nil }
		a := eventually(t, what, 10*time.Second, scaler, said, isError)
		t.Logf("%s: %v", row.name, a.err)
	}
}
