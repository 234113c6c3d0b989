// Starts a child with some threads and much memory that crashes: crash THREADS MIB. Prints the milliseconds from
// the fault to the return of waitpid in the parent.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int waiting;

static void *wait_here(void *nothing) {
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    for (;;)
        pause();
    return nothing;
}

static void now(struct timespec *time) { clock_gettime(CLOCK_MONOTONIC, time); }

int main(int count, char **arguments) {
    if (count != 3)
        return 2;
    int threads = atoi(arguments[1]);
    size_t size = (size_t)atol(arguments[2]) << 20;
    struct timespec *fault = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), end;
    pid_t child = fork();
    if (child == 0) {
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 64 << 10);
        for (int i = 1; i < threads; i++) {
            pthread_t thread;
            if (pthread_create(&thread, &small, wait_here, 0) != 0)
                _exit(3);
        }
        while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < threads - 1)
            usleep(1000);
        if (size) {
            char *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            madvise(memory, size, MADV_HUGEPAGE);
            for (size_t at = 0; at < size; at += 4096)
                memory[at] = 1;
        }
        usleep(50 * 1000);
        now(fault);
        *(volatile int *)8 = 1;
    }
    int status;
    waitpid(child, &status, 0);
    now(&end);
    if (!WIFSIGNALED(status))
        return 3;
    printf("%.3f\n", (end.tv_sec - fault->tv_sec) * 1e3 + (end.tv_nsec - fault->tv_nsec) / 1e6);
    return 0;
}
