// Inlined functions in every DWARF version, by GCC and clang.
// build(dwarf2): cc -O2 -gdwarf-2 $SRC -o $OUT
// build(dwarf2-strict): cc -O2 -gdwarf-2 -gstrict-dwarf $SRC -o $OUT
// build(dwarf3): cc -O2 -gdwarf-3 $SRC -o $OUT
// build(dwarf4): cc -O2 -gdwarf-4 $SRC -o $OUT
// build(dwarf5): cc -O2 -gdwarf-5 $SRC -o $OUT
// build(dwarf5-O3): cc -O3 -gdwarf-5 $SRC -o $OUT
// build(dwarf5-zlib): cc -O2 -gdwarf-5 -gz=zlib $SRC -o $OUT
// build(dwarf64): cc -O2 -g -gdwarf64 $SRC -o $OUT
// build(clang4): clang -O2 -gdwarf-4 $SRC -o $OUT
// build(clang5): clang -O2 -gdwarf-5 $SRC -o $OUT
// build(line-tables): clang -O2 -gline-tables-only $SRC -o $OUT
// build(lto): cc -O2 -g -flto $SRC -o $OUT
// build(g1): cc -O2 -g1 $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g $SRC -o $OUT
// needs(i386): -m32
// stack(dwarf2-strict): stay < real < main
// stack: stay < inlined_twice < inlined_once < real < main
// end: root
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) int stay(int n) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
    return n;
}

static inline __attribute__((always_inline)) int inlined_twice(int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) {
        sum += stay(i);
        sum ^= n;
    }
    return sum;
}

static inline __attribute__((always_inline)) int inlined_once(int n) {
    if (n > 1000)
        return n;
    return inlined_twice(n) + inlined_twice(n / 2);
}

static __attribute__((noinline)) int real(int n) {
    int before = n * 3;
    int result = inlined_once(n);
    return before + result;
}

int main(int argc, char **argv) {
    (void)argv;
    return real(argc) + 1;
}
