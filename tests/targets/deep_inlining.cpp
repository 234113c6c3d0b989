// Chains of inlined functions, up to twenty deep: templates, lambdas in lambdas, the standard library's
// headers. One program in every form in which compilers, linkers and packagers leave debug information.
// build(O3): c++ -O3 -g -pthread $SRC -o $OUT
// build(dwarf3): c++ -O3 -gdwarf-3 -pthread $SRC -o $OUT
// build(dwarf4-types): c++ -O3 -gdwarf-4 -fdebug-types-section -pthread $SRC -o $OUT
// build(dwarf5-types): c++ -O3 -gdwarf-5 -fdebug-types-section -pthread $SRC -o $OUT
// build(g1): c++ -O3 -g1 -pthread $SRC -o $OUT
// build(static): c++ -O3 -g -pthread -static $SRC -o $OUT
// build(static-pie): c++ -O3 -g -pthread -static-pie $SRC -o $OUT
// build(lto): c++ -O3 -g -flto -pthread $SRC -o $OUT
// build(clang): clang++ -O3 -g -pthread $SRC -o $OUT
// build(clang-aranges): clang++ -O3 -g -gdwarf-aranges -pthread $SRC -o $OUT
// build(clang-line-tables): clang++ -O3 -gline-tables-only -pthread $SRC -o $OUT
// build(clang-lto): clang++ -O3 -g -flto -fuse-ld=lld -pthread $SRC -o $OUT
// build(clang-thin-lto): clang++ -O3 -g -flto=thin -fuse-ld=lld -pthread $SRC -o $OUT
// build(zlib): c++ -O3 -g -gz=zlib -pthread $SRC -o $OUT
// build(zdebug): c++ -O3 -gdwarf-4 -pthread $SRC -o $OUT.plain && objcopy --compress-debug-sections=zlib-gnu $OUT.plain $OUT
// build(zstd): c++ -O3 -g -pthread $SRC -o $OUT.plain && objcopy --compress-debug-sections=zstd $OUT.plain $OUT
// build(lld-zlib): clang++ -O3 -g -fuse-ld=lld -Wl,--compress-debug-sections=zlib -pthread $SRC -o $OUT
// build(dwz): c++ -O3 -gdwarf-4 -pthread $SRC -o $OUT && dwz $OUT
// build(dwz5): c++ -O3 -gdwarf-5 -pthread $SRC -o $OUT && dwz $OUT
// build(dwz-multi): c++ -O3 -gdwarf-5 -pthread -Wl,--build-id=sha1 $SRC -o $OUT.full && rm -rf $OUT.dir && id=$(readelf -n $OUT.full | sed -n 's/.*Build ID: //p') && mkdir -p $OUT.dir/.build-id/${id%${id#??}} $OUT.dir/.dwz && cp $OUT.full $OUT.one && objcopy --only-keep-debug $OUT.full $OUT.dir/.build-id/${id%${id#??}}/${id#??}.debug && cp $OUT.dir/.build-id/${id%${id#??}}/${id#??}.debug $OUT.twin && dwz -m $OUT.dir/.dwz/shared.debug -M ../../.dwz/shared.debug $OUT.dir/.build-id/${id%${id#??}}/${id#??}.debug $OUT.twin && strip -o $OUT $OUT.full
// build(split-by-objcopy): c++ -O3 -g -pthread -Wl,--build-id=sha1 $SRC -o $OUT.full && rm -rf $OUT.dir && id=$(readelf -n $OUT.full | sed -n 's/.*Build ID: //p') && mkdir -p $OUT.dir/.build-id/${id%${id#??}} && objcopy --only-keep-debug --compress-debug-sections=zlib $OUT.full $OUT.dir/.build-id/${id%${id#??}}/${id#??}.debug && strip --remove-section=.comment --remove-section=.note -o $OUT $OUT.full && objcopy --add-gnu-debuglink=$OUT.dir/.build-id/${id%${id#??}}/${id#??}.debug $OUT
// build(split-by-eu-strip): c++ -O3 -g -pthread -Wl,--build-id=sha1 $SRC -o $OUT.full && rm -rf $OUT.dir && id=$(readelf -n $OUT.full | sed -n 's/.*Build ID: //p') && mkdir -p $OUT.dir/.build-id/${id%${id#??}} && eu-strip -f $OUT.dir/.build-id/${id%${id#??}}/${id#??}.debug -o $OUT $OUT.full
// build(split4): mkdir -p $OUT.made && cd $(realpath $OUT.made) && c++ -O3 -gdwarf-4 -gsplit-dwarf -pthread -c $SRC -o a.o && c++ -pthread a.o -o $OUT
// build(split5): mkdir -p $OUT.made && cd $(realpath $OUT.made) && clang++ -O3 -gdwarf-5 -gsplit-dwarf -pthread -c $SRC -o a.o && clang++ -pthread a.o -o $OUT
// build(split-types): mkdir -p $OUT.made && cd $(realpath $OUT.made) && c++ -O3 -gdwarf-5 -fdebug-types-section -gsplit-dwarf -pthread -c $SRC -o a.o && c++ -pthread a.o -o $OUT && c++ -O3 -gdwarf-5 -pthread $SRC -o $OUT.plain
// build(dwp4): mkdir -p $OUT.made && cd $(realpath $OUT.made) && c++ -O3 -gdwarf-4 -gsplit-dwarf -pthread -c $SRC -o a.o && c++ -pthread a.o -o $OUT && dwp -e $OUT -o $OUT.dwp && rm a.dwo && c++ -O3 -gdwarf-4 -pthread $SRC -o $OUT.plain
// build(dwp5): mkdir -p $OUT.made && cd $(realpath $OUT.made) && clang++ -O3 -gdwarf-5 -gsplit-dwarf -pthread -c $SRC -o a.o && clang++ -pthread a.o -o $OUT && llvm-dwp -e $OUT -o $OUT.dwp && rm a.dwo && clang++ -O3 -gdwarf-5 -pthread $SRC -o $OUT.plain
// gdb-reads(split-types,dwp5): $OUT.plain
// may-fail(zstd): binutils without zstd
// needs(clang-lto,clang-thin-lto,lld-zlib): ld.lld
// needs(dwz-multi,dwz,dwz5): dwz
// needs(split-by-eu-strip): eu-strip
// reference(zstd,split-types,dwp4,dwp5): $OUT.plain
// reference(dwz-multi): $OUT.full
// debug-dir(dwz-multi,split-by-objcopy,split-by-eu-strip): $OUT.dir
// stack(dwarf3,g1,clang-line-tables): stay
// stack: stay < down < down < down < down < down < down < down < down < templates
// stack: stay < compare < sorts
// full-name(g1,clang-line-tables): templates
// full-name: std::sort
// threads: 4
// end: root
#include <algorithm>
#include <cstdio>
#include <functional>
#include <numeric>
#include <pthread.h>
#include <thread>
#include <unistd.h>
#include <vector>

static pthread_barrier_t all;
// Without it, compilers see that nothing returns, and leave out what follows.
static volatile bool done;

__attribute__((noinline)) static int stay(int n) {
    pthread_barrier_wait(&all);
    while (!done) pause();
    return n;
}

namespace shapes {
template <int N> struct Level {
    static inline __attribute__((always_inline)) int down(int n) {
        int below = Level<N - 1>::down(n + N);
        return below ^ N;
    }
};

template <> struct Level<0> {
    static inline __attribute__((always_inline)) int down(int n) {
        if (n == 12345) return 1;
        return stay(n) * 3;
    }
};
} // namespace shapes

__attribute__((noinline)) static int templates(int n) {
    int deep = shapes::Level<20>::down(n);
    return deep + shapes::Level<3>::down(deep);
}

static inline bool compare(int a, int b) {
    if (a + b > 0) stay(a);
    return a < b;
}

__attribute__((noinline)) static int sorts(int n) {
    std::vector<int> values(50);
    std::iota(values.begin(), values.end(), n);
    std::sort(values.begin(), values.end(), [](int a, int b) { return compare(b, a); });
    return values[0];
}

namespace {
template <typename F> inline int twice(F f) {
    return f(1) + f(2);
}

struct Counter {
    int start;
    template <typename F> int each(const std::vector<int> &list, F f) const {
        return std::accumulate(list.begin(), list.end(), start, [&](int sum, int v) { return sum + f(v); });
    }
};
} // namespace

__attribute__((noinline)) static int lambdas(int n) {
    std::vector<int> list(3, n);
    Counter counter{n};
    std::function<int(int)> outside = [&](int v) {
        return twice([&](int w) { return counter.each(list, [&](int x) { return stay(x + v + w); }); });
    };
    return outside(n) + 1;
}

int main(int argc, char **) {
    pthread_barrier_init(&all, nullptr, 4);
    std::thread one([argc] { return templates(argc); });
    std::thread two([argc] { return sorts(argc); });
    std::thread three([argc] { return lambdas(argc); });
    pthread_barrier_wait(&all);
    std::puts("ready");
    std::fflush(stdout);
    for (;;) pause();
}
