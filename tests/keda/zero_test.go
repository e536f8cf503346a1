package keda

import (
	"strings"
	"testing"
	"time"
)

// The promise: a request to a sleeping model starts its pod within a second of arriving and is
// answered, and a model stays awake until it has answered.

const (
	// wakesWithin is the promise's second.
	wakesWithin = time.Second
	// noticed is how much longer than idleAfter it may take until a poll says so: a scrape, a tick,
	// a poll, and a machine with other things to do.
	noticed = 20 * time.Second
)

// woken asserts that true was pushed, and the pod started, within the promised second.
func (s *sleeper) woken(r *request, streams ...int) {
	s.t.Helper()
	for _, i := range streams {
		at := s.keda.streams[i].waitTrue(s.t, r.sent, 10*time.Second)
		s.t.Logf("true on stream %d %s after the request", i, at.Sub(r.sent))
		if at.Sub(r.sent) > wakesWithin {
			s.t.Errorf("true came on stream %d only %s after the request", i, at.Sub(r.sent))
		}
	}
	s.until("pod", time.Second, func() bool { return s.deployment.Replicas() == 1 })
}

// uncut asserts that no answer was cut off, whenever the pod was taken away.
func (s *sleeper) uncut() {
	s.t.Helper()
	if _, cut := s.deployment.Received(); cut > 0 {
		s.t.Errorf("%d answers were cut off", cut)
	}
	for _, stream := range s.keda.streams {
		stream.neverFalse(s.t)
	}
}

// sleepsWhenIdle waits for sleep after an answer that ended at `ended`: not before idleAfter.
func (s *sleeper) sleepsWhenIdle(ended time.Time, living ...int) {
	s.t.Helper()
	asleep := s.sleepsAfter(ended, idleAfter+noticed, living...)
	s.t.Logf("inactive %s after the answer (idleAfter %s)", asleep.Sub(ended), idleAfter)
	if asleep.Sub(ended) < idleAfter {
		s.t.Errorf("inactive only %s after the last answer; KEDA saw:\n%s", asleep.Sub(ended), s.keda)
	}
	s.until("no replicas", cooldownPeriod+5*time.Second, func() bool { return s.deployment.Replicas() == 0 })
}

func TestARequestWakesASleepingModelAndIsAnsweredAndOnlyIdlenessPutsItToSleep(t *testing.T) {
	t.Parallel()
	s := asleepBehindAGate(t, story{loads: 20 * time.Second, holdFor: 2 * time.Minute})
	// The answer takes 45 s, longer than idleAfter, and nothing else is asked meanwhile.
	const tokens = 90
	r := s.ask(tokens)
	s.woken(r, 0)
	s.answered(r, tokens, 2*time.Minute)
	t.Logf("held, first token after %s, answered after %s", r.tokens[0].arrived.Sub(r.sent), r.ended.Sub(r.sent))
	if r.header.Get("X-Prescale-Held-Seconds") == "" {
		t.Error("the answer does not say how long it was held")
	}
	s.awake(0, r.sent.Add(wakesWithin), r.ended)
	if r.ended.Sub(r.tokens[0].arrived) < idleAfter {
		t.Errorf("the answer was no longer than idleAfter: %s", r.ended.Sub(r.tokens[0].arrived))
	}
	s.sleepsWhenIdle(r.ended, 0)

	again := s.ask(2)
	s.woken(again, 0)
	s.answered(again, 2, time.Minute)
	s.awake(0, again.sent.Add(wakesWithin), again.ended)
	s.uncut()
}

func TestAKillWhileThePodLoadsForgetsNoWake(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name        string
		after, away time.Duration
	}{
		// Only the file tells of the wake: the first tick stands for an instant before the request. The
		// request comes when what the last tick decided was written just now, and nothing is due yet.
		{"at once", 100 * time.Millisecond, 0},
		{"later", 3 * time.Second, 2 * time.Second},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { killedWhileThePodLoads(t, row.after, row.away) })
	}
}

// killedWhileThePodLoads kills prescale some time after the wake and starts it again some time later.
func killedWhileThePodLoads(t *testing.T, after, away time.Duration) {
	t.Parallel()
	s := asleepBehindAGate(t, story{loads: 20 * time.Second, holdFor: 2 * time.Minute})
	afterATick := time.Now().Truncate(5 * time.Second).Add(5*time.Second + 400*time.Millisecond)
	time.Sleep(time.Until(afterATick))
	r := s.ask(20)
	s.woken(r, 0)
	time.Sleep(after)
	s.prescales[0].Kill()
	killed := time.Now()
	time.Sleep(away)
	s.begin(s.prescales[0])
	t.Logf("ready again %s after the kill", time.Since(killed))
	back := s.keda.streams[0].waitTrue(t, killed, 20*time.Second)
	t.Logf("true on the new stream %s after the kill", back.Sub(killed))
	s.answered(r, 20, time.Minute)
	s.awake(0, r.sent.Add(wakesWithin), r.ended)
	if scaled := s.keda.scalings(r.sent); len(scaled) != 1 {
		t.Errorf("one pod was to be started and kept; KEDA saw:\n%s", s.keda)
	}
	if r.tokens[0].made.Before(s.deployment.ReadyAt()) {
		t.Error("answered by a pod that was not ready")
	}
	s.sleepsAfter(r.ended, 2*time.Minute, 0)
	s.uncut()
}

func TestAPodThatNeverComesIsGivenUpAndWhoAsksIsToldWhenToComeBack(t *testing.T) {
	t.Parallel()
	const timeout = 15 * time.Second
	s := asleepBehindAGate(t, story{holdFor: 8 * time.Second,
		metadata: map[string]string{"activationTimeout": span(timeout)}})
	r := s.ask(2)
	s.woken(r, 0)
	retry := s.refused(r, "deadline", 15*time.Second)
	t.Logf("503 after %s, come back in %s", r.ended.Sub(r.sent), retry)
	if r.ended.Sub(r.sent) < 8*time.Second {
		t.Errorf("given up on already %s after it came", r.ended.Sub(r.sent))
	}
	gaveUp := s.sleepsAfter(r.ended, time.Minute, 0)
	t.Logf("given up %s after the request (activationTimeout %s)", gaveUp.Sub(r.sent), timeout)
	if gaveUp.Sub(r.sent) < timeout {
		t.Errorf("given up already %s after the request", gaveUp.Sub(r.sent))
	}
	s.awake(0, r.sent.Add(wakesWithin), r.sent.Add(timeout))
	s.says("no pod served in time", "stuck")
	s.until("no replicas", 15*time.Second, func() bool { return s.deployment.Replicas() == 0 })

	for range 3 {
		late := s.ask(2)
		retry = s.refused(late, "backing_off", 10*time.Second)
		t.Logf("during the back-off: 503 after %s, come back in %s", late.ended.Sub(late.sent), retry)
		if late.ended.Sub(late.sent) > 2*time.Second || retry < time.Minute {
			t.Errorf("503 after %s with Retry-After %s", late.ended.Sub(late.sent), retry)
		}
		time.Sleep(4 * time.Second)
	}
	s.says("no pod served in time")
	s.quiet(gaveUp)
	if received, _ := s.deployment.Received(); received > 0 {
		t.Errorf("a pod that is not ready was sent %d requests", received)
	}
	s.uncut()
}

func TestWhoWaitsForAPodThatIsGivenUpIsToldSo(t *testing.T) {
	t.Parallel()
	const timeout = 10 * time.Second
	s := asleepBehindAGate(t, story{holdFor: 2 * time.Minute,
		metadata: map[string]string{"activationTimeout": span(timeout)}})
	r := s.ask(2)
	s.woken(r, 0)
	// Who waits has the gate ask again, which has a wake last twice as long at most. The gate hears of
	// the end with its next call, ten seconds later at most.
	retry := s.refused(r, "backing_off", time.Minute)
	took := r.ended.Sub(r.sent)
	t.Logf("503 after %s (activationTimeout %s), come back in %s", took, timeout, retry)
	if took < timeout || took > 2*timeout+20*time.Second || retry < time.Minute {
		t.Errorf("503 after %s with Retry-After %s", took, retry)
	}
	gaveUp := s.sleepsAfter(r.sent.Add(wakesWithin), 5*time.Second, 0)
	s.until("no replicas", 15*time.Second, func() bool { return s.deployment.Replicas() == 0 })
	time.Sleep(10 * time.Second)
	s.quiet(gaveUp)
}

// says asserts that the API tells these words of the scaler.
func (s *sleeper) says(words ...string) {
	s.t.Helper()
	_, list := get(s.t, s.prescales[0].HTTP+"/api/v1/scalers")
	for _, word := range words {
		if !strings.Contains(list, word) {
			s.t.Errorf("the API does not say %q: %s", word, list)
		}
	}
}

// quiet asserts that since then nothing was active, nothing pushed and no replica started.
func (s *sleeper) quiet(since time.Time) {
	s.t.Helper()
	for _, answer := range s.keda.answers(0, since, time.Now()) {
		if answer.active {
			s.t.Fatalf("active again at %s; KEDA saw:\n%s", answer.at, s.keda)
		}
	}
	if pushed := s.keda.streams[0].since(since); len(pushed) > 0 {
		s.t.Errorf("pushed: %v", pushed)
	}
	if scaled := s.keda.scalings(since); len(scaled) != 1 || scaled[0].replicas != 0 {
		s.t.Errorf("want one way down, got %v", scaled)
	}
}

func TestAClientThatGoesAwayLeavesNothingBehindButAModelThatSleepsAgain(t *testing.T) {
	t.Parallel()
	s := asleepBehindAGate(t, story{loads: 12 * time.Second, holdFor: 2 * time.Minute})
	r := s.ask(2)
	s.woken(r, 0)
	s.until("request held", 5*time.Second, func() bool { return s.gauge("prescale_gate_requests_held{") == 1 })
	time.Sleep(3 * time.Second)
	r.cancel()
	s.until("request forgotten", 2*time.Second, func() bool {
		return s.gauge("prescale_gate_requests_held{") == 0 && s.gauge("prescale_gate_requests_in_flight{") == 0
	})
	if abandoned := s.gauge("prescale_gate_requests_abandoned_total{"); abandoned != 1 {
		t.Errorf("%g requests abandoned, want 1", abandoned)
	}
	s.until("ready pod", 30*time.Second, func() bool { return !s.deployment.ReadyAt().IsZero() })
	ready := s.deployment.ReadyAt()
	s.awake(0, r.sent.Add(wakesWithin), ready)
	// Beside idleAfter the way down wants a minute of data.
	asleep := s.sleepsAfter(ready, 2*time.Minute, 0)
	t.Logf("inactive %s after the pod was ready", asleep.Sub(ready))
	if asleep.Sub(ready) < idleAfter {
		t.Errorf("inactive already %s after the pod was ready", asleep.Sub(ready))
	}
	s.until("no replicas", cooldownPeriod+5*time.Second, func() bool { return s.deployment.Replicas() == 0 })
	if received, _ := s.deployment.Received(); received > 0 {
		t.Errorf("%d requests were passed on for a client that is gone", received)
	}
	s.uncut()
}

func TestTwoProcessesSayTheSameAndOneIsEnough(t *testing.T) {
	t.Parallel()
	s := asleepBehindAGate(t, story{loads: 12 * time.Second, holdFor: 2 * time.Minute, processes: 2})
	// Beside idleAfter the way down wants a minute of data since the pod was ready.
	const tokens = 80
	r := s.ask(tokens)
	s.woken(r, 0, 1)
	// Counted when the call has ended; the next one is ten seconds away.
	s.until("one wake for one request", 5*time.Second, func() bool { return s.gauge("prescale_gate_wakes_total{") == 1 })
	s.until("wake handed on once", 5*time.Second, func() bool {
		handed := 0.0
		for _, p := range s.prescales {
			handed += sum(t, p.HTTP+"/metrics", `prescale_wakes_handed_total{result="held"}`)
		}
		return handed == 1
	})

	s.until("ready pod", 30*time.Second, func() bool { return !s.deployment.ReadyAt().IsZero() })
	time.Sleep(5 * time.Second)
	s.prescales[0].Kill()
	killed := time.Now()
	s.answered(r, tokens, 2*time.Minute)
	s.awake(0, r.sent.Add(wakesWithin), killed)
	s.awake(1, r.sent.Add(wakesWithin), r.ended)
	for i := range s.prescales {
		if errors := s.keda.errors(i, r.sent, killed.Add(-2*pollingInterval)); len(errors) > 0 {
			t.Errorf("prescale %d: %v", i, errors[0].err)
		}
	}
	s.sleepsWhenIdle(r.ended, 1)

	// The dead one is passed over by whoever wakes.
	again := s.ask(2)
	s.woken(again, 1)
	s.answered(again, 2, time.Minute)
	s.awake(1, again.sent.Add(wakesWithin), again.ended)
	s.uncut()
}

func TestKedaBehindAServiceHearsOfAWakeThatReachedAnotherProcess(t *testing.T) {
	t.Parallel()
	s := asleepBehindAGate(t, story{loads: 20 * time.Second, holdFor: 2 * time.Minute, processes: 2, service: true})
	r := s.ask(20)
	s.woken(r, 0)
	asked, other := s.prescales[0], s.prescales[1]
	s.until("wake that began at the process that KEDA does not ask", 5*time.Second, func() bool {
		return sum(t, other.HTTP+"/metrics", `prescale_wakes_total{result="elsewhere"}`) == 1
	})

	// KEDA comes to the one that it has never asked.
	time.Sleep(3 * time.Second)
	asked.Kill()
	killed := time.Now()
	back := s.keda.streams[0].waitTrue(t, killed, 20*time.Second)
	t.Logf("true from the other %s after the kill", back.Sub(killed))
	s.answered(r, 20, time.Minute)
	s.awake(0, r.sent.Add(wakesWithin), r.ended)
	if scaled := s.keda.scalings(r.sent); len(scaled) != 1 {
		t.Errorf("one pod was to be started and kept; KEDA saw:\n%s", s.keda)
	}
	s.sleepsAfter(r.ended, 2*time.Minute, 0)
	s.uncut()
}
