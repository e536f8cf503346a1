// Package generate writes the vectors beside it with Kubernetes' own code: README.md says how.
package generate

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	defaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
)

// One sync of the real controller, from reading the scale to setting it.
//
//go:linkname reconcile k8s.io/kubernetes/pkg/controller/podautoscaler.(*HorizontalController).reconcileAutoscaler
func reconcile(*podautoscaler.HorizontalController, context.Context, *autoscalingv2.HorizontalPodAutoscaler, string) error

const seed = 20261122

// Metric is a metric of an HPA: its kind and its target in thousandths.
type Metric struct {
	kind   string
	target int64
}

func (m Metric) MarshalJSON() ([]byte, error) { return json.Marshal([]any{m.kind, m.target}) }

// Single is one question to the calculator.
type Single struct {
	Up      string `json:"up"`
	Down    string `json:"down"`
	Metric  Metric `json:"metric"`
	Reading []any  `json:"reading"`
	// Replicas proposed; null: the calculator returned an error.
	Result *int32 `json:"result"`
}

// Rules are those of one direction.
type Rules struct {
	Window    int32   `json:"window"`
	Tolerance *string `json:"tolerance"`
	Select    string  `json:"select"`
	Policies  [][]any `json:"policies"`
}

// Sequence is one HPA over time.
type Sequence struct {
	Behavior  string    `json:"behavior"`
	Min       int32     `json:"min"`
	Max       int32     `json:"max"`
	Tolerance string    `json:"tolerance"`
	Window    int64     `json:"window"`
	Rules     *[2]Rules `json:"rules,omitempty"`
	Metrics   []Metric  `json:"metrics"`
	// Each: milliseconds since the one before, what is read, replicas set.
	Syncs [][]any `json:"syncs"`
}

func TestGenerate(t *testing.T) {
	world := newWorld()
	write(t, "../calculator.jsonl", func(line func(any)) {
		random := rand.New(rand.NewSource(seed))
		for range 400 {
			line(single(world, random))
		}
	})
	write(t, "../sequences.jsonl", func(line func(any)) {
		for number := range 200 {
			random := rand.New(rand.NewSource(seed + int64(number)))
			line(sequence(t, world, random, number))
		}
	})
}

func write(t *testing.T, path string, lines func(func(any))) {
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	defer out.Flush()
	lines(func(line any) {
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(out, string(text))
	})
}

func pick[T any](random *rand.Rand, of ...T) T { return of[random.Intn(len(of))] }

func metric(random *rand.Rand) Metric {
	kind := pick(random, "average", "average", "average", "value", "pods")
	return Metric{kind, pick[int64](random, 1000, 1000, 800, 700, 12_000, 64, 3, 100_000, 2_500_000, 1+random.Int63n(50_000))}
}

// replicas are those of one sync around a specification: all ready, or in motion.
func replicas(random *rand.Rand, spec int32) Reading {
	reading := Reading{spec: spec, status: spec, ready: spec}
	if random.Intn(3) == 0 {
		reading.status = max(0, spec+pick[int32](random, -2, -1, 0, 0, 1, 2))
		reading.ready = random.Int31n(reading.status + 1)
		reading.pending = random.Int31n(reading.status - reading.ready + 1)
	}
	return reading
}

// values are such that the metric asks for about so many replicas, often exactly at the edge.
func values(random *rand.Rand, metric Metric, reading Reading, wanted float64) []int64 {
	switch random.Intn(8) {
	case 0:
		wanted = float64(reading.status) * pick(random, 0.9, 1.1, 0.95, 1.05, 1, 0.8, 1.2)
	case 1:
		wanted = float64(int(wanted))
	}
	switch metric.kind {
	case "pods":
		running := reading.status - reading.pending
		seen := max(0, running-pick[int32](random, 0, 0, 0, 0, 1, 2, running))
		values := []int64{}
		for range seen {
			mean := wanted / float64(max(1, reading.status)) * float64(metric.target)
			values = append(values, int64(mean*(1+pick(random, 0, 0, 0.2)*(random.Float64()-0.5))))
		}
		return values
	case "value":
		wanted /= float64(max(1, reading.ready))
	}
	// Below zero nothing arrives: KEDA hands on 0 in its place.
	value := max(0, int64(wanted*float64(metric.target))+pick[int64](random, 0, 0, 0, 0, -1, 1))
	if value > 0 && random.Intn(6) == 0 {
		part := random.Int63n(value + 1)
		return []int64{part, value - part}
	}
	return []int64{value}
}

// compact writes what one metric reads: null, the sum of an external one, or the pods' values.
func compact(metric Metric, values []int64) any {
	if values == nil {
		return nil
	}
	if metric.kind == "pods" {
		return values
	}
	sum := int64(0)
	for _, value := range values {
		sum += value
	}
	return sum
}

func quantity(text string) float64 {
	parsed := resource.MustParse(text)
	return parsed.AsApproximateFloat64()
}

func exact(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }

func single(world *World, random *rand.Rand) Single {
	up := quantity(pick(random, "0.1", "0.1", "0", "0.05", "0.25", "0.3"))
	down := quantity(pick(random, "0.1", "0.1", "0", "0.05", "0.15", "0.7"))
	// Its fields are private; their order is checked by what comes out.
	type open struct{ down, up float64 }
	fields := open{down, up}
	tolerances := *(*podautoscaler.Tolerances)(unsafe.Pointer(&fields))
	if want := fmt.Sprintf("[down:%.1f%%, up:%.1f%%]", down*100, up*100); tolerances.String() != want {
		panic(tolerances.String())
	}

	m := metric(random)
	most := pick[int32](random, 5, 12, 40, 300)
	if m.kind == "pods" {
		most = min(most, 12)
	}
	reading := replicas(random, 1+random.Int31n(most))
	wanted := float64(reading.status) * 3 * random.Float64()
	found := values(random, m, reading, wanted)
	if random.Intn(40) == 0 && m.kind != "pods" {
		found = []int64{1 << 52}
	}
	reading.values = [][]int64{found}
	world.show(reading)
	calculator := podautoscaler.NewReplicaCalculator(world, podInformer{world}.Lister(), 5*time.Minute, 30*time.Second)
	selector := labels.SelectorFromSet(labels.Set{"app": "model"})
	var result int32
	var err error
	switch m.kind {
	case "average":
		result, _, _, err = calculator.GetExternalPerPodMetricReplicas(reading.status, m.target, "m0", tolerances, namespace, nil)
	case "value":
		result, _, _, err = calculator.GetExternalMetricReplicas(reading.spec, m.target, "m0", tolerances, namespace, nil, selector)
	case "pods":
		result, _, _, err = calculator.GetMetricReplicas(reading.spec, m.target, "m0", tolerances, namespace, selector, nil)
	}
	line := Single{Up: exact(up), Down: exact(down), Metric: m, Reading: []any{
		reading.spec, reading.status, reading.ready, reading.pending, compact(m, found),
	}}
	if err == nil {
		line.Result = &result
	}
	return line
}

func rules(random *rand.Rand, windows ...int32) *autoscalingv2.HPAScalingRules {
	window := pick(random, windows...)
	selected := pick(random, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MaxChangePolicySelect,
		autoscalingv2.MinChangePolicySelect, autoscalingv2.MinChangePolicySelect,
		autoscalingv2.MinChangePolicySelect, autoscalingv2.DisabledPolicySelect)
	found := &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &window, SelectPolicy: &selected}
	if random.Intn(2) == 0 {
		tolerance := resource.MustParse(pick(random, "0", "0.05", "0.2", "0.3"))
		found.Tolerance = &tolerance
	}
	for range 1 + random.Intn(3) {
		policy := autoscalingv2.HPAScalingPolicy{
			Type: autoscalingv2.PodsScalingPolicy, Value: 1 + random.Int31n(5), PeriodSeconds: pick[int32](random, 15, 30, 60, 61, 120, 300),
		}
		if random.Intn(2) == 0 {
			policy.Type, policy.Value = autoscalingv2.PercentScalingPolicy, pick[int32](random, 5, 10, 25, 33, 50, 70, 100, 150)
		}
		found.Policies = append(found.Policies, policy)
	}
	return found
}

// behavior is one of those that the library names, or a random one.
func behavior(random *rand.Rand, number int) (string, *autoscalingv2.HorizontalPodAutoscalerBehavior) {
	switch number % 6 {
	case 0, 1:
		return "plain", nil
	case 2:
		// Empty: the API server's defaults fill it.
		return "defaults", &autoscalingv2.HorizontalPodAutoscalerBehavior{}
	case 3:
		zero, nothing := int32(0), resource.MustParse("0")
		one := func(value, period int32) *autoscalingv2.HPAScalingRules {
			return &autoscalingv2.HPAScalingRules{
				StabilizationWindowSeconds: &zero, Tolerance: &nothing,
				Policies: []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: value, PeriodSeconds: period}},
			}
		}
		return "shipped", &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: one(100, 15), ScaleDown: one(1, 60)}
	default:
		return "rules", &autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: rules(random, 0, 0, 30, 60, 180), ScaleDown: rules(random, 0, 60, 120, 300),
		}
	}
}

func plain(rules *autoscalingv2.HPAScalingRules) Rules {
	found := Rules{Window: *rules.StabilizationWindowSeconds, Select: string(*rules.SelectPolicy)}
	if rules.Tolerance != nil {
		tolerance := exact(rules.Tolerance.AsApproximateFloat64())
		found.Tolerance = &tolerance
	}
	for _, policy := range rules.Policies {
		found.Policies = append(found.Policies, []any{policy.Type, policy.Value, policy.PeriodSeconds})
	}
	return found
}

func specOf(place int, metric Metric) autoscalingv2.MetricSpec {
	identifier := autoscalingv2.MetricIdentifier{Name: fmt.Sprintf("m%d", place)}
	target := resource.NewMilliQuantity(metric.target, resource.DecimalSI)
	average := autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: target}
	switch metric.kind {
	case "pods":
		return autoscalingv2.MetricSpec{Type: autoscalingv2.PodsMetricSourceType,
			Pods: &autoscalingv2.PodsMetricSource{Metric: identifier, Target: average}}
	case "value":
		average = autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: target}
	}
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType,
		External: &autoscalingv2.ExternalMetricSource{Metric: identifier, Target: average}}
}

func sequence(t *testing.T, world *World, random *rand.Rand, number int) Sequence {
	name, behavior := behavior(random, number)
	low := pick[int32](random, 1, 1, 1, 2, 4)
	line := Sequence{Behavior: name, Min: low, Max: low + pick[int32](random, 3, 8, 11, 30), Tolerance: "0.1", Window: 300}
	if name == "plain" && random.Intn(2) == 0 {
		line.Tolerance, line.Window = pick(random, "0", "0.2"), pick[int64](random, 0, 60, 120)
	}
	for range pick(random, 1, 1, 1, 1, 2, 3) {
		line.Metrics = append(line.Metrics, metric(random))
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("h%d", number), Namespace: namespace},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "model", APIVersion: "apps/v1"},
			MinReplicas:    &line.Min, MaxReplicas: line.Max, Behavior: behavior,
		},
	}
	for place, metric := range line.Metrics {
		hpa.Spec.Metrics = append(hpa.Spec.Metrics, specOf(place, metric))
	}
	defaults.SetDefaults_HorizontalPodAutoscaler(hpa)
	if name == "rules" {
		line.Rules = &[2]Rules{plain(hpa.Spec.Behavior.ScaleUp), plain(hpa.Spec.Behavior.ScaleDown)}
	}
	tolerance, err := strconv.ParseFloat(line.Tolerance, 64)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	controller := world.controller(ctx, time.Duration(line.Window)*time.Second, tolerance)
	// A clock that stands still but for Sleep.
	synctest.Test(t, func(*testing.T) {
		spec := line.Min + random.Int31n(line.Max-line.Min+1)
		level := float64(spec)
		// Every other one is slow, so that it outlives the windows.
		pace := 1 + 3*int64(number/6%2)
		for range 20 + random.Intn(17) {
			level = course(random, level, line)
			gap := pace * pick[int64](random, 15_000, 15_000, 15_000, 15_000, 15_000, 15_000, 30_000, 14_999, 15_001, 1_000, 137, 60_000)
			time.Sleep(time.Duration(gap) * time.Millisecond)
			if spec == 0 && random.Intn(2) == 0 {
				spec = 1
			} else if random.Intn(25) == 0 {
				// Somebody else's doing: asleep, above the maximum, below the minimum.
				spec = pick(random, 0, line.Max+random.Int31n(5), line.Min-1, line.Min)
			}
			reading := replicas(random, spec)
			for _, metric := range line.Metrics {
				var found []int64
				if random.Intn(12) != 0 {
					found = values(random, metric, reading, level)
				}
				reading.values = append(reading.values, found)
			}
			world.show(reading)
			// An error is an answer, too: nothing is set.
			_ = reconcile(controller, ctx, hpa, namespace+"/"+hpa.Name)
			after := spec
			if world.set != nil {
				after = *world.set
			}
			row := []any{gap, reading.spec, reading.status, reading.ready, reading.pending}
			for place, metric := range line.Metrics {
				row = append(row, compact(metric, reading.values[place]))
			}
			line.Syncs = append(line.Syncs, append(row, after))
			spec = after
		}
	})
	return line
}

// course is what is needed next: mostly about as before, at times a burst or an end.
func course(random *rand.Rand, level float64, line Sequence) float64 {
	switch random.Intn(12) {
	case 0:
		return random.Float64() * float64(line.Max) * 1.2
	case 1:
		return level * 2
	case 2:
		return level / 3
	default:
		return level * (0.9 + 0.2*random.Float64())
	}
}
