package keda

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"prescale/tests/keda/world"
)

const (
	streams = 10_000
	// Distinct scalers: enough to be many, few enough to leave two cores to the streams.
	objects = 100
)

func TestTenThousandStreamsInOneBurstAreNotLost(t *testing.T) {
	fleet := settled(t, world.Load{})
	server := serve(t)
	metadata := asleep(fleet.Namespace)
	probe := pull(t, trigger(server.Address, fleet.Namespace, "llm-0", metadata))
	eventually(t, "sleep", 30*time.Second, probe, value(0), errorOr(value(0)))

	connection, err := grpc.NewClient(server.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	client := pb.NewExternalScalerClient(connection)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var opened, told, lost atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	for i := range streams {
		ref := &pb.ScaledObjectRef{
			Name: fmt.Sprintf("llm-%d", i%objects), Namespace: fleet.Namespace, ScalerMetadata: metadata,
		}
		all.Go(func() {
			stream, err := client.StreamIsActive(ctx, ref)
			if err == nil {
				_, err = stream.Header()
			}
			if err != nil {
				lost.Add(1)
				return
			}
			opened.Add(1)
			for first := true; ; first = false {
				message, err := stream.Recv()
				if ctx.Err() != nil {
					return
				}
				if err != nil || !message.Result {
					lost.Add(1)
					return
				}
				if first {
					told.Add(1)
				}
			}
		})
	}
	until(t, "streams open", 60*time.Second, &opened, &lost)
	t.Logf("%d streams open after %s", streams, time.Since(begin))
	if a := ask(t, probe); !value(0)(a) {
		t.Errorf("with all streams open: %s", a)
	}

	woken := time.Now()
	fleet.Set(world.Load{Held: 1})
	until(t, "streams told of the wake", 60*time.Second, &told, &lost)
	t.Logf("%d streams told %s after the demand appeared", streams, time.Since(woken))
	cancel()
	all.Wait()
}

// until waits for all streams to be counted, and fails with the first that is lost.
func until(t *testing.T, what string, limit time.Duration, count, lost *atomic.Int64) {
	t.Helper()
	for deadline := time.Now().Add(limit); count.Load() < streams; time.Sleep(20 * time.Millisecond) {
		if lost.Load() > 0 || time.Now().After(deadline) {
			t.Fatalf("%s: %d of %d, %d lost", what, count.Load(), streams, lost.Load())
		}
	}
}
