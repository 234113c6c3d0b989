// Maps files as a loader would, without looking at them, and lets threads stand in their code; other
// threads have nothing to do with them. Each argument is one file:
//
//     FILE,SIZE,call,ENTRY             a thread calls ENTRY with a function that waits
//     FILE,SIZE,stack,ENTRY,BACK,STRIDE,COUNT[,THREADS]
//                                      threads jump to ENTRY with COUNT return addresses on their stacks:
//                                      BACK, BACK+STRIDE, …
//     FILE,SIZE,pivot,ENTRY,BACK       a thread jumps to ENTRY on one of two stacks whose words lead to the other
//     FILE,SIZE,none[,TIMES]           nobody stands in it; mapped so many times
//
// SIZE is what of the file is mapped, 0 for all. Numbers are as strtoull(3) takes them.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct victim {
    char *base;
    const char *mode;
    uint64_t numbers[6];
};

static pthread_barrier_t ready;

__attribute__((noinline)) void wait_inside(void) {
    for (;;) pause();
}

__attribute__((noinline)) static void innocent_inner(void) {
    wait_inside();
    __asm__ volatile("");
}

__attribute__((noinline)) static void *innocent_outer(void *unused) {
    prctl(PR_SET_NAME, "innocent");
    pthread_barrier_wait(&ready);
    innocent_inner();
    __asm__ volatile("");
    return unused;
}

__attribute__((noinline)) static void *stand(void *argument) {
    struct victim *victim = argument;
    prctl(PR_SET_NAME, "victim");
    char *entry = victim->base + victim->numbers[0];
    uint64_t back = (uint64_t)victim->base + victim->numbers[1];
    if (!strcmp(victim->mode, "call")) {
        pthread_barrier_wait(&ready);
        ((void (*)(void (*)(void)))entry)(wait_inside);
        __asm__ volatile("");
        return 0;
    }
    uint64_t count = victim->numbers[3], *stack;
    if (!strcmp(victim->mode, "pivot")) {
        count = 8192;
        uint64_t *one = mmap(0, count * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        uint64_t *other = mmap(0, count * 8 + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(other + count, 4096);
        for (uint64_t i = 1; i + 2 < count; i += 2) {
            one[i - 1] = back;
            one[i] = (uint64_t)&other[i];
            other[i - 1] = back;
            other[i] = (uint64_t)&one[i + 2];
        }
        stack = one + 1;
    } else {
        uint64_t here;
        stack = (uint64_t *)(((uint64_t)&here - count * 8 - 4096) & ~15ull);
        for (uint64_t i = 0; i < count; i++) stack[i] = back + i * victim->numbers[2];
    }
    pthread_barrier_wait(&ready);
    __asm__ volatile("mov %0, %%rsp\n\txor %%ebp, %%ebp\n\tjmp *%1" : : "r"(stack), "r"(entry) : "memory");
    return 0;
}

static void start(void *(*body)(void *), void *argument, uint64_t stack) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack + (256 << 10));
    if (pthread_create(&thread, &attributes, body, argument)) {
        perror("pthread_create");
        exit(1);
    }
}

static char *map(const char *path, uint64_t size) {
    int file = open(path, O_RDONLY);
    struct stat facts;
    if (file < 0 || fstat(file, &facts)) {
        perror(path);
        exit(1);
    }
    char *base = mmap(0, size ? size : facts.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    if (base == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    close(file);
    return base;
}

int main(int count, char **arguments) {
    static struct victim victims[64];
    unsigned threads = 2;
    for (int i = 1; i < count && i < 64; i++) {
        char *path = strtok(arguments[i], ",");
        uint64_t size = strtoull(strtok(0, ","), 0, 0);
        struct victim *victim = &victims[i];
        victim->mode = strtok(0, ",");
        victim->numbers[4] = 1;
        char *word;
        for (int n = 0; n < 6 && (word = strtok(0, ",")); n++) victim->numbers[n] = strtoull(word, 0, 0);
        victim->base = map(path, size);
        if (!strcmp(victim->mode, "none")) {
            for (uint64_t n = 1; n < victim->numbers[0]; n++) map(path, size);
            victim->numbers[4] = 0;
        }
        threads += victim->numbers[4];
    }
    pthread_barrier_init(&ready, 0, threads);
    start(innocent_outer, 0, 0);
    for (int i = 1; i < count && i < 64; i++)
        for (uint64_t n = 0; n < victims[i].numbers[4]; n++) start(stand, &victims[i], victims[i].numbers[3] * 8);
    pthread_barrier_wait(&ready);
    puts("ready");
    fflush(stdout);
    wait_inside();
}
