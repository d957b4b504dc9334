package serve

// Calm makes as if a day had passed in which nothing came late: Expire forgets all
// that it may.
func (e *Engine) Calm() {
	e.late.mu.Lock()
	defer e.late.mu.Unlock()
	e.late.today, e.late.dayGone = maxTime, maxTime
}

// LearnBy makes rebuilds fold so many events at once.
func (e *Engine) LearnBy(n int) { e.learnsBy = n }
