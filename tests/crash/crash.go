// Crashes by a signal of its own, with threads of the runtime.
package main

import (
	"os"
	"runtime/debug"
	"time"
)

func waitHere(done chan int) { <-done }

func main() {
	debug.SetTraceback("crash")
	done := make(chan int)
	for i := 0; i < 10; i++ {
		go waitHere(done)
	}
	time.Sleep(100 * time.Millisecond)
	var place *int
	if len(os.Args) > 0 {
		*place = 1
	}
}
