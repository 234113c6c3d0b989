// Stacks realigned at run time: GCC reaches the caller's frame through a saved argument pointer (DRAP), its
// CFA is an expression that loads memory (DW_CFA_def_cfa_expression).
// build: cc -O2 -g -mavx $SRC -o $OUT
// build(O0): cc -O0 -g -mavx $SRC -o $OUT
// build(clang): clang -O2 -g -mavx $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g -mavx $SRC -o $OUT
// needs(i386): -m32
// stack: stay < realigned < realigned_with_alloca < entry < main
// end: root
#include <alloca.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef float wide __attribute__((vector_size(32)));

static __attribute__((noinline)) void stay(void *p) {
    printf("%sready\n", ((unsigned long)p & 31) ? "not " : "");
    fflush(stdout);
    for (;;) pause();
}

static __attribute__((noinline)) float realigned(int n) {
    volatile wide local = {(float)n};
    char aligned[64] __attribute__((aligned(64)));
    memset(aligned, n, sizeof aligned);
    stay(aligned);
    return local[0] + aligned[n];
}

static __attribute__((noinline)) float realigned_with_alloca(int n, int a, int b, int c, int d, int e, int f, int g) {
    volatile wide local = {(float)(a + b + c + d + e + f + g)};
    char *block = alloca((unsigned)n * 33u);
    memset(block, n, (unsigned)n * 33u);
    return realigned(n) + local[1] + block[n];
}

__attribute__((noinline, force_align_arg_pointer)) float entry(int n) {
    return realigned_with_alloca(n, n, n, n, n, n, n, n) + 1;
}

int main(int argc, char **argv) {
    (void)argv;
    return (int)entry(argc) + 1;
}
