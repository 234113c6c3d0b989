// Crashes with some threads: crasher WAY THREADS [MIB]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

static volatile int waiting;

__attribute__((noinline)) static void *wait_here(void *number) {
    char name[16];
    snprintf(name, sizeof name, "worker-%ld", (long)number);
    prctl(PR_SET_NAME, name);
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    for (;;)
        // Gives every argument register a value; what else is in them depends on how threads met before.
        syscall(SYS_ppoll, 0L, 0L, 0L, 0L, 8L, 0L);
}

__attribute__((noinline)) static void crash(volatile int *place) { *place = 1; }

static void *crash_later(void *) {
    prctl(PR_SET_NAME, "culprit");
    usleep(200 * 1000);
    crash((int *)8);
    return nullptr;
}

int main(int count, char **arguments) {
    const char *way = count > 1 ? arguments[1] : "segv";
    long threads = count > 2 ? atol(arguments[2]) : 4, mib = count > 3 ? atol(arguments[3]) : 0;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    for (long number = 0; number < threads; number++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, wait_here, (void *)number) != 0)
            return 3;
        // One after the other: what is left in their registers depends on whom they met.
        while (waiting <= number)
            usleep(20);
    }
    // Until all are in their system call, on a busy machine too.
    usleep(500 * 1000);
    if (mib > 0) {
        size_t size = (size_t)mib << 20;
        char *memory = (char *)mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(memory, size, MADV_HUGEPAGE);
        for (size_t at = 0; at < size; at += 4096)
            memory[at] = 1;
    }
    if (strcmp(way, "leader") == 0) {
        pthread_t thread;
        pthread_create(&thread, &small, crash_later, nullptr);
        pthread_exit(nullptr);
    }
    if (strcmp(way, "user") == 0 && setuid(65533) != 0)
        return 3;
    if (strcmp(way, "abort") == 0)
        abort();
    crash((int *)8);
}
