// Go: goroutines parked, one in a system call, one spinning; threads of the runtime asleep in futex.
// build: go build -o $OUT $SRC
// build(plain): CGO_ENABLED=0 go build -ldflags=-compressdwarf=false -o $OUT $SRC
// build(debug): go build -gcflags=all='-N -l' -o $OUT $SRC
// build(pie): go build -buildmode=pie -o $OUT $SRC
// build(no-dwarf): go build -ldflags=-w -o $OUT $SRC
// build(stripped): go build -ldflags='-s -w' -o $OUT $SRC
// no-gdb(stripped): there is no CFI, and gdb takes addresses of Go's heap for callers
// spins
// stack(,plain,debug,pie,no-dwarf): *usleep* < *sysmon
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
