package keda

import (
	"strings"
	"testing"
	"time"

	"prescale/tests/keda/world"
)

// asleep lets demand show at the gateway while there are no pods.
func asleep(namespace string) map[string]string {
	metadata := plain()
	metadata["workload"] = "deployment/llm"
	metadata["activationQuery"] = `sum(held_requests{namespace="` + namespace + `"})`
	return metadata
}

func TestTheStreamSaysTrueOnceThereIsDemandAndNeverFalse(t *testing.T) {
	fleet := settled(t, world.Load{})
	config := trigger(serve(t).Address, fleet.Namespace, "llm", asleep(fleet.Namespace))
	scaler := pull(t, config)
	eventually(t, "sleep", 30*time.Second, scaler, value(0), errorOr(value(0)))

	stream := open(t, config)
	quiet := time.Now()
	time.Sleep(8 * time.Second) // longer than a tick and a scrape: a stream that chatters is seen
	if seen := stream.since(quiet); len(seen) > 0 {
		t.Fatalf("pushed while asleep: %v", seen)
	}

	woken := time.Now()
	fleet.Set(world.Load{Held: 3})
	at := stream.waitTrue(t, woken, 20*time.Second)
	t.Logf("pushed %s after the demand appeared (scrape 1 s, tick 5 s)", at.Sub(woken))
	if a := ask(t, scaler); !atLeast(1)(a) {
		t.Fatalf("true was pushed, but the poll says %s", a)
	}

	// The wake is repeated while it is unanswered; a pod that is loading keeps it up.
	fleet.Set(world.Load{Replicas: 1, Held: 3})
	stream.waitTrue(t, at, 25*time.Second)
	served := time.Now()
	fleet.Set(world.Load{Replicas: 1, Ready: 1, Running: 3, KV: 0.05})
	for time.Since(served) < 15*time.Second {
		if a := ask(t, scaler); !atLeast(1)(a) {
			t.Fatalf("a serving workload was let go: %s", a)
		}
		time.Sleep(500 * time.Millisecond)
	}
	stream.neverFalse(t)
}

func TestARestartEndsStreamsCleanlyAndKedaIsBackSoon(t *testing.T) {
	fleet := settled(t, world.Load{Replicas: 2, Ready: 2, Running: 6, KV: 0.1})
	before := serve(t)
	config := trigger(before.Address, fleet.Namespace, "llm", plain())
	scaler := pull(t, config)
	up := errorOr(atLeast(1))
	eventually(t, "activity", 30*time.Second, scaler, atLeast(2), up)
	stream := open(t, config)
	stream.waitTrue(t, time.Time{}, 15*time.Second)

	stopping := time.Now()
	code, err := before.Stop(11 * time.Second)
	if err != nil || code != 0 {
		t.Fatalf("SIGTERM: exit code %d, %v", code, err)
	}
	t.Logf("ended %s after SIGTERM", time.Since(stopping))
	serveAt(t, before.Address)
	listening := time.Now()

	unary := eventually(t, "answers after the restart", 30*time.Second, scaler, atLeast(1), up)
	t.Logf("unary answers %s after the server was up: %s", time.Since(listening), unary)
	back := stream.waitTrue(t, stopping, 30*time.Second)
	stream.neverFalse(t)

	var ended time.Time
	for _, line := range logs.since(stopping) {
		if strings.Contains(line.text, "error running internalRun") {
			t.Errorf("the stream did not end with OK: %s", line.text)
		}
		if ended.IsZero() && strings.Contains(line.text, "external push retry backoff") {
			ended = line.at
			if !strings.Contains(line.text, `"duration"="2s"`) {
				t.Errorf("a clean end resets the back-off to 2 s: %s", line.text)
			}
		}
	}
	if ended.IsZero() {
		t.Fatal("KEDA's client did not see the stream end")
	}
	t.Logf("stream back %s after its end", back.Sub(ended))
	// KEDA waits 2 s after a clean end; the rest is grpc's reconnect and the first tick.
	if back.Sub(ended) > 8*time.Second {
		t.Errorf("the stream was back only %s after its end", back.Sub(ended))
	}
}
