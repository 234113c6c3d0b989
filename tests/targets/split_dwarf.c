// Split DWARF: functions in .dwo files where the compiler ran, beside the program, and packed into a .dwp file.
// build: cd $(dirname $OUT) && gcc -O2 -gdwarf-4 -gsplit-dwarf -c $SRC -o $OUT.o && gcc $OUT.o -o $OUT
// build(dwarf5): cd $(dirname $OUT) && gcc -O2 -gdwarf-5 -gsplit-dwarf -c $SRC -o $OUT.o && gcc $OUT.o -o $OUT
// build(compressed): cd $(dirname $OUT) && gcc -O2 -gdwarf-5 -gz=zlib -gsplit-dwarf -c $SRC -o $OUT.o && gcc $OUT.o -o $OUT
// build(clang4): cd $(dirname $OUT) && clang -O2 -gdwarf-4 -gsplit-dwarf -c $SRC -o $OUT.o && clang $OUT.o -o $OUT
// build(clang5): cd $(dirname $OUT) && clang -O2 -gdwarf-5 -gsplit-dwarf -c $SRC -o $OUT.o && clang $OUT.o -o $OUT
// build(single): cd $(dirname $OUT) && clang -O2 -gdwarf-5 -gsplit-dwarf=single -c $SRC -o $OUT.o && clang $OUT.o -o $OUT
// build(types): cd $(dirname $OUT) && gcc -O2 -gdwarf-5 -fdebug-types-section -gsplit-dwarf -c $SRC -o $OUT.o && gcc $OUT.o -o $OUT
// build(moved): mkdir -p $OUT.made && cd $(realpath $OUT.made) && gcc -O2 -gdwarf-5 -gsplit-dwarf -c $SRC -o moved.o && gcc moved.o -o $OUT && mv moved.dwo $(dirname $OUT)
// build(dwp4): mkdir -p $OUT.made && cd $(realpath $OUT.made) && gcc -O2 -gdwarf-4 -gsplit-dwarf -c $SRC -o a.o && gcc a.o -o $OUT && dwp -e $OUT -o $OUT.dwp && rm a.dwo
// build(dwp5): mkdir -p $OUT.made && cd $(realpath $OUT.made) && clang -O2 -gdwarf-5 -gsplit-dwarf -c $SRC -o a.o && clang a.o -o $OUT && llvm-dwp -e $OUT -o $OUT.dwp && rm a.dwo
// build(stripped): mkdir -p $OUT.made && cd $(realpath $OUT.made) && gcc -O2 -gdwarf-4 -gsplit-dwarf -c $SRC -o a.o && gcc a.o -o $OUT && dwp -e $OUT -o $OUT.debug.dwp && rm a.dwo && objcopy --only-keep-debug $OUT $OUT.debug && strip $OUT && cd $(dirname $OUT) && objcopy --add-gnu-debuglink=$OUT.debug $OUT
// no-gdb(types): it takes the section of a type for that of the unit
// no-gdb(dwp5): it ends with an internal error when it reads a DWARF 5 package
// stack: stay < inlined < outer < main
// end: root
#include <stdio.h>
#include <unistd.h>

struct kept {
    int number;
    char text[12];
};

static __attribute__((noinline)) int stay(struct kept *kept) {
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
    return kept->number;
}

static inline __attribute__((always_inline)) int inlined(int n) {
    struct kept kept = {n, "text"};
    return stay(&kept) + 1;
}

__attribute__((noinline)) int outer(int n) {
    return inlined(n) * 2;
}

int main(void) {
    return outer(1) + 1;
}
