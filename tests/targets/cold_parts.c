// Threads that stand in the cold part of a function, which the compiler put far from the rest: one in a call
// that never returns (its last instruction), one in code of its own, one in a function inlined there.
// build(gcc): cc -O2 -g -pthread -freorder-blocks-and-partition $SRC -o $OUT
// build(gcc-O3): cc -O3 -g -pthread -freorder-blocks-and-partition $SRC -o $OUT
// build(gcc-dwarf3): cc -O2 -gdwarf-3 -pthread -freorder-blocks-and-partition $SRC -o $OUT
// build(gcc-dwarf4): cc -O2 -gdwarf-4 -pthread -freorder-blocks-and-partition $SRC -o $OUT
// build(gcc-lto): cc -O2 -g -flto -pthread -freorder-blocks-and-partition $SRC -o $OUT
// build(gcc-sections): cc -O2 -g -pthread -ffunction-sections -freorder-blocks-and-partition -Wl,--gc-sections $SRC -o $OUT
// build(gcc-g0): cc -O2 -pthread -freorder-blocks-and-partition $SRC -o $OUT
// build(gcc-stripped): cc -O2 -pthread -freorder-blocks-and-partition -s $SRC -o $OUT
// build(clang): clang -O2 -g -pthread -mllvm -hot-cold-split=true $SRC -o $OUT
// build(clang-lto): clang -O2 -g -pthread -flto -fuse-ld=lld -Wl,-mllvm,-hot-cold-split=true $SRC -o $OUT
// needs(clang-lto): ld.lld
// stack(gcc,gcc-O3,gcc-dwarf3,gcc-dwarf4,gcc-lto,gcc-sections): give_up < gives_up
// stack(gcc,gcc-O3,gcc-dwarf3,gcc-dwarf4,gcc-lto,gcc-sections): stays
// stack(gcc,gcc-O3,gcc-dwarf3,gcc-dwarf4,gcc-lto,gcc-sections): give_up < complain < complains
// stack(gcc-g0): give_up < gives_up
// stack(gcc-g0): stays
// stack(gcc-g0): give_up < complains
// threads: 4
// end: root
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_barrier_t all;
volatile int limit = 3;

static __attribute__((cold, noinline, noreturn)) void give_up(int n) {
    pthread_barrier_wait(&all);
    for (;;) pause();
    exit(n);
}

static __attribute__((cold, noinline)) void arrive(void) {
    pthread_barrier_wait(&all);
}

static inline __attribute__((always_inline)) void complain(int n) {
    if (n == 77) abort();
    give_up(n + 1);
}

__attribute__((noinline)) int gives_up(int n) {
    int sum = n;
    for (int i = 0; i < limit; i++) sum = sum * 31 + i;
    if (n > 0) give_up(sum);
    return sum ^ limit;
}

__attribute__((noinline)) int stays(int n) {
    int sum = n;
    for (int i = 0; i < limit; i++) sum = sum * 17 + i;
    if (n > 0) {
        arrive();
        for (;;) {
            long result = SYS_pause;
            __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
            if (result > 0) arrive();
        }
    }
    return sum ^ limit;
}

__attribute__((noinline)) int complains(int n) {
    int sum = n;
    for (int i = 0; i < limit; i++) sum = sum * 13 + i;
    if (n > 0) complain(sum);
    return sum ^ limit;
}

static void *start(void *which) {
    int (*function)(int) = which;
    long result = function(limit) + 1;
    return (void *)result;
}

int main(void) {
    pthread_t thread;
    pthread_barrier_init(&all, NULL, 4);
    pthread_create(&thread, NULL, start, (void *)gives_up);
    pthread_create(&thread, NULL, start, (void *)stays);
    pthread_create(&thread, NULL, start, (void *)complains);
    pthread_barrier_wait(&all);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
