// Go: goroutines parked, one in a system call, one spinning; threads of the runtime asleep in futex.
// build: go build -o $OUT $SRC
// spins
// stack: *usleep* < *sysmon
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

//go:noinline
func inSystemCall(fd int) {
	var buffer [1]byte
	syscall.Read(fd, buffer[:])
}

//go:noinline
func spin(counter *uint64) {
	for {
		*counter++
	}
}

func main() {
	var pipe [2]int
	var counter uint64
	syscall.Pipe(pipe[:])
	block := make(chan int)
	go inSystemCall(pipe[0])
	go spin(&counter)
	for i := 0; i < 5; i++ {
		go func() { <-block }()
	}
	time.Sleep(200 * time.Millisecond)
	fmt.Println("ready")
	os.Stdout.Sync()
	<-block
}
