// Stepped through instruction by instruction by tests/zoo_steps.rs: prologues, epilogues, pushes, alloca, a
// realigned stack, a tail call, lazily bound functions, the vdso, and everything the C library does meanwhile.
// It goes on only when it can read a byte.
// build: cc -O2 -g -Wl,-z,lazy $SRC -o $OUT
// build(O0): cc -O0 -g -Wl,-z,lazy $SRC -o $OUT
// build(fp): cc -O1 -g -fno-omit-frame-pointer -Wl,-z,lazy $SRC -o $OUT
// build(clang): clang -O2 -g -Wl,-z,lazy $SRC -o $OUT
// build(static): cc -O2 -g -static $SRC -o $OUT
// stack: *pause < main
#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef float wide __attribute__((vector_size(32)));
static volatile long sink;

__attribute__((noinline)) static long leaf(long a, long b) {
    volatile long red_zone[3] = {a, b, a + b};
    return red_zone[a & 1];
}

__attribute__((noinline)) static long pushes(long *v) {
    long a = v[0], b = v[1], c = v[2], d = v[3], e = v[4], f = v[5];
    long r = leaf(a, b) + leaf(c, d);
    r += leaf(e, f) * a + b * c;
    return r + d * e + f;
}

__attribute__((noinline)) static long with_alloca(long n) {
    char *block = alloca((unsigned long)n * 40);
    for (long i = 0; i < n; i++) block[i] = (char)leaf(i, n);
    return block[n - 1];
}

__attribute__((noinline)) static long early_return(long n) {
    if (n > 3) return n;
    char big[5000];
    big[n] = (char)n;
    sink = (long)big;
    return leaf(n, big[n]);
}

__attribute__((noinline, target("avx"))) static long realigned(long n) {
    volatile wide local = {(float)n};
    char *block = alloca((unsigned long)n * 16);
    block[0] = (char)leaf(n, n);
    return (long)local[0] + block[0];
}

__attribute__((noinline)) static long tail_called(long n) {
    char text[24];
    snprintf(text, sizeof text, "%ld", n);
    return strtol(text, NULL, 10);
}

__attribute__((noinline)) static long tail_calls(long n) {
    return tail_called(n + 1);
}

__attribute__((noinline)) static long many_arguments(long a, long b, long c, long d, long e, long f, long g, long h) {
    return leaf(a + b + c + d, e + f + g + h) + g * h;
}

__attribute__((noinline)) static long clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static int compare(const void *a, const void *b) {
    return (int)leaf(*(const int *)a, *(const int *)b) - *(const int *)b;
}

__attribute__((noinline)) static long everything(long n) {
    long v[6] = {n, 2, 3, 4, 5, 6};
    int numbers[4] = {3, 1, 4, 1};
    long r = pushes(v) + with_alloca(n + 3) + early_return(n) + early_return(n + 10);
    if (__builtin_cpu_supports("avx")) r += realigned(n);
    r += tail_calls(n) + many_arguments(n, 2, 3, 4, 5, 6, 7, 8) + clock_now() + clock_now();
    qsort(numbers, 4, sizeof *numbers, compare);
    return r + numbers[0];
}

int main(int argc, char **argv) {
    char byte;
    (void)argv;
    puts("ready");
    fflush(stdout);
    if (read(0, &byte, 1) != 1)
        for (;;) pause();
    sink = everything(argc);
    return 0;
}
