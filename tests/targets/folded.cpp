// Functions with the same code, of which the linker keeps one: every name of it is right, none of another.
// build(none): clang++ -O2 -g -ffunction-sections $SRC -o $OUT
// build(lld): clang++ -O2 -g -ffunction-sections -fuse-ld=lld -Wl,--icf=all $SRC -o $OUT
// build(lld-gcc): c++ -O2 -g -ffunction-sections -fuse-ld=lld -Wl,--icf=all $SRC -o $OUT
// build(lld-g0): clang++ -O2 -ffunction-sections -fuse-ld=lld -Wl,--icf=all $SRC -o $OUT
// build(gold): c++ -O2 -g -ffunction-sections -fuse-ld=gold -Wl,--icf=all $SRC -o $OUT
// build(gold-clang): clang++ -O2 -g -ffunction-sections -fuse-ld=gold -Wl,--icf=all $SRC -o $OUT
// build(gcc-ipa): c++ -O2 -g -fipa-icf $SRC -o $OUT
// needs(lld,lld-gcc,lld-g0): ld.lld
// needs(gold,gold-clang): ld.gold
// args: first
// args: second
// args: third
// stack: stay < * < main
// end: root
#include <cstdio>
#include <cstring>
#include <unistd.h>

// Without it, compilers see that nothing returns, and leave out what follows.
static volatile bool done;

__attribute__((noinline)) static long stay(long n) {
    std::puts("ready");
    std::fflush(stdout);
    while (!done) pause();
    return n;
}

__attribute__((noinline)) long first(long n) {
    return stay(n) + 5;
}

__attribute__((noinline)) long second(long n) {
    return stay(n) + 5;
}

template <typename T> struct Holder {
    T value;
    __attribute__((noinline)) long get() { return stay((long)value) + 9; }
};

long (*volatile choice)(long);

int main(int, char **argv) {
    const char *which = argv[1] ? argv[1] : "first";
    Holder<long> a{1};
    Holder<unsigned long> b{2};
    if (!std::strcmp(which, "third")) return (int)(a.get() + b.get());
    choice = std::strcmp(which, "first") ? second : first;
    return (int)choice(7) + 1;
}
