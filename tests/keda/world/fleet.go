package world

import (
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// page is a genuine page of a running vLLM server; its first line says where it comes from.
//
//go:embed testdata/vllm-0.32.0.prom
var page string

// Load is what one fleet carries.
type Load struct {
	// Replicas wanted by the Deployment.
	Replicas int
	// Ready pods; each has a page. Pods wanted and not ready are pending.
	Ready int
	// Running and Waiting requests of each ready pod.
	Running, Waiting float64
	// KV is the share of each pod's KV cache in use, 0..1.
	KV float64
	// Held requests at the gateway.
	Held float64
	// Gone pods had their names before: each new pod is another one.
	Gone int
	// Created is when the pods were made; zero: an hour ago.
	Created time.Time
	// LoadedIn is how long they took from then to ready; zero: a minute.
	LoadedIn time.Duration
}

// Fleet is the Deployment `llm` of one namespace, with its pods' pages and a gateway's page.
type Fleet struct {
	// Namespace it lives in.
	Namespace string

	pods    []string
	created time.Time
	mutex   sync.Mutex
	exists  bool
	load    Load
	real    map[string]string
}

func newFleet(namespace string, slots int) *Fleet {
	f := &Fleet{Namespace: namespace, created: time.Now().Add(-time.Hour), real: map[string]string{}}
	for i := range slots {
		f.pods = append(f.pods, fmt.Sprintf("llm-7d9c8b6f5d-abc%02d", i))
	}
	return f
}

// Set changes the load from now on; before the first Set the fleet does not exist.
func (f *Fleet) Set(load Load) {
	if load.Gone+load.Replicas > len(f.pods) || load.Ready > load.Replicas {
		panic(fmt.Sprintf("%d ready of %d replicas in %d slots", load.Ready, load.Replicas, len(f.pods)))
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.exists, f.load = true, load
}

// Page has a page of the fleet, `gateway` or `pod`, be the one at url: a server's own.
func (f *Fleet) Page(name, url string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.real[name] = url
}

func (f *Fleet) realPage(name string) string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.real[name]
}

func (f *Fleet) now() (load Load, exists bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.load, f.exists
}

// ServeHTTP serves the gateway's page, and the page of each pod that is ready.
func (f *Fleet) ServeHTTP(out http.ResponseWriter, request *http.Request) {
	load, _ := f.now()
	name := strings.TrimPrefix(request.URL.Path, "/"+f.Namespace+"/")
	if name == "gateway" {
		if url := f.realPage(name); url != "" {
			passOn(out, url)
			return
		}
		_, _ = fmt.Fprintf(out, "# TYPE held_requests gauge\nheld_requests %g\n", load.Held)
		return
	}
	for _, pod := range f.pods[load.Gone : load.Gone+load.Ready] {
		if url := f.realPage("pod"); pod == name && url != "" {
			passOn(out, url)
			return
		}
		if pod == name {
			_, _ = out.Write([]byte(enginePage(load)))
			return
		}
	}
	http.NotFound(out, request)
}

// passOn answers with the page at url, or as a target that is down.
func passOn(out http.ResponseWriter, url string) {
	client := http.Client{Timeout: time.Second}
	answer, err := client.Get(url)
	if err != nil {
		http.Error(out, "down", http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	out.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	out.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(out, answer.Body)
}

// enginePage is the genuine page with the three gauges of the load written into it.
func enginePage(load Load) string {
	values := map[string]float64{
		"vllm:num_requests_running":           load.Running,
		"vllm:num_requests_waiting":           load.Waiting,
		"vllm:num_requests_waiting_by_reason": 0,
		"vllm:kv_cache_usage_perc":            load.KV,
	}
	lines := strings.Split(page, "\n")
	for i, line := range lines {
		name, _, isSample := strings.Cut(line, "{")
		if value, found := values[name]; found && isSample {
			if strings.Contains(line, `reason="capacity"`) {
				value = load.Waiting
			}
			lines[i] = fmt.Sprintf("%s %g", line[:strings.LastIndex(line, " ")], value)
		}
	}
	return strings.Join(lines, "\n")
}

// kubeState is what kube-state-metrics says of the Deployment, its HPA and its pods.
func (f *Fleet) kubeState() string {
	load, exists := f.now()
	if !exists {
		return ""
	}
	var b strings.Builder
	deployment := fmt.Sprintf(`{namespace=%q,deployment="llm"}`, f.Namespace)
	sample(&b, "kube_deployment_spec_replicas", deployment, float64(load.Replicas))
	sample(&b, "kube_deployment_status_replicas", deployment, float64(load.Replicas))
	sample(&b, "kube_deployment_status_replicas_ready", deployment, float64(load.Ready))
	sample(&b, "kube_deployment_status_replicas_available", deployment, float64(load.Ready))
	hpa := fmt.Sprintf(`{namespace=%q,horizontalpodautoscaler="keda-hpa-llm"`, f.Namespace)
	sample(&b, "kube_horizontalpodautoscaler_info", hpa+
		`,scaletargetref_api_version="apps/v1",scaletargetref_kind="Deployment",scaletargetref_name="llm"}`, 1)
	sample(&b, "kube_horizontalpodautoscaler_spec_min_replicas", hpa+"}", 1)
	sample(&b, "kube_horizontalpodautoscaler_spec_max_replicas", hpa+"}", 20)
	sample(&b, "kube_horizontalpodautoscaler_status_current_replicas", hpa+"}", float64(load.Replicas))
	if load.Created.IsZero() {
		load.Created = f.created
	}
	if load.LoadedIn == 0 {
		load.LoadedIn = time.Minute
	}
	for i, pod := range f.pods[load.Gone : load.Gone+load.Replicas] {
		f.podState(&b, pod, load, i < load.Ready)
	}
	return b.String()
}

func (f *Fleet) podState(b *strings.Builder, pod string, load Load, ready bool) {
	labels := fmt.Sprintf(`{namespace=%q,pod=%q,uid="uid-%s"`, f.Namespace, pod, pod)
	created := float64(load.Created.Unix())
	sample(b, "kube_pod_created", labels+"}", created)
	sample(b, "kube_pod_status_scheduled_time", labels+"}", created+1)
	if ready {
		sample(b, "kube_pod_status_ready_time", labels+"}", float64(load.Created.Add(load.LoadedIn).Unix()))
	}
	is := map[bool]float64{true: 1}
	for _, phase := range []string{"Pending", "Running", "Succeeded", "Failed", "Unknown"} {
		sample(b, "kube_pod_status_phase", fmt.Sprintf(`%s,phase=%q}`, labels, phase), is[phase == "Running"])
	}
	sample(b, "kube_pod_status_ready", labels+`,condition="true"}`, is[ready])
	sample(b, "kube_pod_status_ready", labels+`,condition="false"}`, is[!ready])
	sample(b, "kube_pod_status_ready", labels+`,condition="unknown"}`, 0)
}

func sample(b *strings.Builder, name, labels string, value float64) {
	fmt.Fprintf(b, "%s%s %g\n", name, labels, value)
}
