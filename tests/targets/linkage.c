// The same threads in every kind of executable: dynamic (PIE and not), static, static-pie, musl, prelinked
// with a hash style of its own.
// build: cc -O2 -g -pthread $SRC -o $OUT
// build(no-pie): cc -O2 -g -pthread -no-pie -fno-pie $SRC -o $OUT
// build(static): cc -O2 -g -pthread -static $SRC -o $OUT
// build(static-pie): cc -O2 -g -pthread -static-pie $SRC -o $OUT
// build(musl): musl-gcc -O2 -g -pthread $SRC -o $OUT
// build(musl-static): musl-gcc -O2 -g -pthread -static $SRC -o $OUT
// build(lld): clang -O2 -g -pthread -fuse-ld=lld $SRC -o $OUT
// needs(lld): ld.lld
// build(gnu-hash): cc -O2 -g -pthread -Wl,--hash-style=gnu -Wl,-z,separate-code -Wl,-z,relro,-z,now $SRC -o $OUT
// build(one-segment): cc -O2 -g -pthread -static -Wl,-z,noseparate-code $SRC -o $OUT
// build(stripped): cc -O2 -pthread -s $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g -pthread $SRC -o $OUT
// build(i386-static): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g -pthread -static $SRC -o $OUT
// needs(i386, i386-static): -m32
// stack(): stay < deeper < worker
// stack(i386): stay < deeper < worker
// stack(i386-static): stay < deeper < worker
// stack(no-pie): stay < deeper < worker
// stack(static): stay < deeper < worker
// stack(static-pie): stay < deeper < worker
// stack(musl): stay < deeper < worker
// stack(musl-static): stay < deeper < worker
// stack(lld): stay < deeper < worker
// stack(one-segment): stay < deeper < worker
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_barrier_t started;

// Not through the C library: musl's has no call frame information.
static inline __attribute__((always_inline)) void system_call_pause(void) {
    long result = SYS_pause;
#ifdef __i386__
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
#else
    __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
#endif
}

static __attribute__((noinline)) void stay(void) {
    pthread_barrier_wait(&started);
    for (;;) system_call_pause();
}

static __attribute__((noinline)) void deeper(int n) {
    volatile int room[50] = {n};
    stay();
    room[n] = 1;
}

static void *worker(void *argument) {
    deeper((int)(long)argument);
    return NULL;
}

int main(void) {
    pthread_barrier_init(&started, NULL, 3);
    for (long i = 0; i < 2; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, worker, (void *)i);
    }
    pthread_barrier_wait(&started);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
