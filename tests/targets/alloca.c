// Variable stack frames: alloca and variable length arrays, so the CFA is rbp-based even when optimised.
// build: cc -O2 -g -fomit-frame-pointer $SRC -o $OUT
// build(clang): clang -O2 -g -fomit-frame-pointer $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g -fomit-frame-pointer $SRC -o $OUT
// needs(i386): -m32
// stack: stay < with_alloca < with_vla < main
// end: root
#include <alloca.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static __attribute__((noinline)) void stay(char *a, char *b) {
    printf("%sready\n", a[0] == b[0] ? "" : "not ");
    fflush(stdout);
    for (;;) pause();
}

static __attribute__((noinline)) int with_alloca(int n, char *other) {
    char *block = alloca((unsigned)n * 100u);
    memset(block, 'x', (unsigned)n * 100u);
    stay(block, other);
    return block[n];
}

static __attribute__((noinline)) int with_vla(int n) {
    char block[n * 7 + 1];
    memset(block, 'x', sizeof block);
    return with_alloca(n, block) + block[n];
}

int main(int argc, char **argv) {
    (void)argv;
    return with_vla(argc + 3) + 1;
}
