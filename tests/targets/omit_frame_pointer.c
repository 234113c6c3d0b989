// No frame pointers: rbp is an ordinary register holding a value that looks like nothing.
// build: cc -O2 -g -fomit-frame-pointer $SRC -o $OUT
// build(O1): cc -O1 -g -fomit-frame-pointer $SRC -o $OUT
// build(clang): clang -O2 -g -fomit-frame-pointer $SRC -o $OUT
// stack: stay < uses_all_registers < second < main
// end: root
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) long stay(long a, long b, long c) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
    return a + b + c;
}

static __attribute__((noinline)) long uses_all_registers(long *v) {
    long a = v[0], b = v[1], c = v[2], d = v[3], e = v[4], f = v[5], g = v[6];
    register long pinned __asm__("rbp") = 0x5555555555555555;
    __asm__ volatile("" : "+r"(pinned));
    long r = stay(a, b, c);
    __asm__ volatile("" : "+r"(pinned));
    return r + a * b + c * d + e * f + g + pinned;
}

static __attribute__((noinline)) long second(long *v) {
    return uses_all_registers(v) + v[3];
}

int main(int argc, char **argv) {
    (void)argv;
    long v[7] = {argc, 2, 3, 4, 5, 6, 7};
    return (int)second(v) + 1;
}
