package generate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	autoscalingclient "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	v1core "k8s.io/client-go/kubernetes/typed/core/v1"
	autoscalinglisters "k8s.io/client-go/listers/autoscaling/v2"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

const namespace = "prescale"

// Reading is what one sync sees.
type Reading struct {
	spec, status, ready, pending int32
	// One per metric: nil when it cannot be read, else milli-values.
	values [][]int64
}

// World is the cluster around the controller: one workload, its pods, its metrics.
type World struct {
	reading Reading
	set     *int32
	pods    cache.SharedIndexInformer
	hpas    cache.SharedIndexInformer
}

func newWorld() *World {
	klog.SetLogger(logr.Discard())
	index := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	return &World{
		pods: cache.NewSharedIndexInformer(&cache.ListWatch{}, &v1.Pod{}, 0, index),
		hpas: cache.NewSharedIndexInformer(&cache.ListWatch{}, &autoscalingv2.HorizontalPodAutoscaler{}, 0, index),
	}
}

// show lets the controller see a reading: so many pods in each state, so many replicas.
func (w *World) show(reading Reading) {
	w.reading, w.set = reading, nil
	var pods []interface{}
	for i := int32(0); i < reading.status; i++ {
		pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: podName(i), Namespace: namespace, Labels: map[string]string{"app": "model"},
		}}
		// The last ones are pending, as those that came last are.
		if i >= reading.status-reading.pending {
			pod.Status.Phase = v1.PodPending
		} else {
			pod.Status.Phase = v1.PodRunning
			ready := v1.ConditionFalse
			if i < reading.ready {
				ready = v1.ConditionTrue
			}
			pod.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: ready}}
		}
		pods = append(pods, pod)
	}
	if err := w.pods.GetIndexer().Replace(pods, ""); err != nil {
		panic(err)
	}
}

func podName(i int32) string { return fmt.Sprintf("model-%d", i) }

// metrics.MetricsClient. The name of a metric is its place in the list.

func (w *World) at(name string) ([]int64, error) {
	var place int
	if _, err := fmt.Sscanf(name, "m%d", &place); err != nil {
		return nil, err
	}
	if w.reading.values[place] == nil {
		return nil, errors.New("no answer")
	}
	return w.reading.values[place], nil
}

func (w *World) GetResourceMetric(context.Context, v1.ResourceName, string, labels.Selector, string) (metrics.PodMetricsInfo, time.Time, error) {
	panic("no resource metrics here")
}

func (w *World) GetObjectMetric(string, string, *autoscalingv2.CrossVersionObjectReference, labels.Selector) (int64, time.Time, error) {
	panic("no object metrics here")
}

func (w *World) GetRawMetric(name, _ string, _, _ labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	values, err := w.at(name)
	info := metrics.PodMetricsInfo{}
	for i, value := range values {
		info[podName(int32(i))] = metrics.PodMetric{Value: value}
	}
	return info, time.Now(), err
}

func (w *World) GetExternalMetric(name, _ string, _ labels.Selector) ([]int64, time.Time, error) {
	values, err := w.at(name)
	return values, time.Now(), err
}

// scale.ScalesGetter.

func (w *World) Scales(string) scale.ScaleInterface { return scales{World: w} }

type scales struct {
	scale.ScaleInterface
	*World
}

func (s scales) Get(context.Context, schema.GroupResource, string, metav1.GetOptions) (*autoscalingv1.Scale, error) {
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: "model", Namespace: namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: s.reading.spec},
		Status:     autoscalingv1.ScaleStatus{Replicas: s.reading.status, Selector: "app=model"},
	}, nil
}

func (s scales) Update(_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale, _ metav1.UpdateOptions) (*autoscalingv1.Scale, error) {
	s.set = &scale.Spec.Replicas
	return scale, nil
}

// What else the controller wants to be given, and what it tells nobody here.

type hpaClient struct {
	autoscalingclient.HorizontalPodAutoscalerInterface
}

func (c hpaClient) HorizontalPodAutoscalers(string) autoscalingclient.HorizontalPodAutoscalerInterface {
	return c
}

func (hpaClient) UpdateStatus(_ context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, _ metav1.UpdateOptions) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	return hpa, nil
}

type eventClient struct{ v1core.EventInterface }

func (c eventClient) Events(string) v1core.EventInterface { return c }

func (eventClient) CreateWithEventNamespaceWithContext(_ context.Context, event *v1.Event) (*v1.Event, error) {
	return event, nil
}

func (eventClient) CreateWithEventNamespace(event *v1.Event) (*v1.Event, error) { return event, nil }

func (eventClient) PatchWithEventNamespace(event *v1.Event, _ []byte) (*v1.Event, error) {
	return event, nil
}

func (eventClient) PatchWithEventNamespaceWithContext(_ context.Context, event *v1.Event, _ []byte) (*v1.Event, error) {
	return event, nil
}

type mapper struct{ meta.RESTMapper }

func (mapper) RESTMappings(schema.GroupKind, ...string) ([]*meta.RESTMapping, error) {
	resource := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	return []*meta.RESTMapping{{Resource: resource}}, nil
}

type podInformer struct{ *World }

func (i podInformer) Informer() cache.SharedIndexInformer { return i.pods }
func (i podInformer) Lister() corelisters.PodLister {
	return corelisters.NewPodLister(i.pods.GetIndexer())
}

type hpaInformer struct{ *World }

func (i hpaInformer) Informer() cache.SharedIndexInformer { return i.hpas }
func (i hpaInformer) Lister() autoscalinglisters.HorizontalPodAutoscalerLister {
	return autoscalinglisters.NewHorizontalPodAutoscalerLister(i.hpas.GetIndexer())
}

// controller is Kubernetes' own, with the downscale window and the tolerance of its flags.
func (w *World) controller(ctx context.Context, window time.Duration, tolerance float64) *podautoscaler.HorizontalController {
	return podautoscaler.NewHorizontalController(
		ctx, eventClient{}, w, hpaClient{}, mapper{}, w, hpaInformer{w}, podInformer{w},
		15*time.Second, window, tolerance, 5*time.Minute, 30*time.Second,
	)
}
