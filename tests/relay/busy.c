// Threads that allocate, print, load libraries and make threads, as fast as they can, while the program gets
// SIGQUIT. It counts what arrives. When its input ends it stops all of them and says what it has left.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int stop;
static volatile int seen;
static FILE *nowhere;

static void on_quit(int signal) {
    (void)signal;
    seen++;
    // Tells the test that it may send the next one.
    if (write(1, ".", 1) != 1)
        _exit(9);
}

static void *allocate(void *argument) {
    while (!stop) {
        void *pieces[64];
        for (int i = 0; i < 64; i++)
            pieces[i] = malloc(16 << (i % 12));
        for (int i = 0; i < 64; i++)
            free(pieces[i]);
    }
    return argument;
}

static void *print(void *argument) {
    while (!stop)
        fprintf(nowhere, "%p %d\n", argument, 42);
    return argument;
}

static void *load(void *argument) {
    while (!stop) {
        void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
        if (library)
            dlclose(library);
    }
    return argument;
}

static void *nothing(void *argument) { return argument; }

static void *make(void *argument) {
    while (!stop) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL))
            abort();
        pthread_join(thread, NULL);
    }
    return argument;
}

static int entries(const char *path) {
    DIR *folder = opendir(path);
    int count = 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static long resident(void) {
    long pages = 0, all = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (fscanf(file, "%ld %ld", &all, &pages) != 2)
        abort();
    fclose(file);
    return pages * 4;
}

int main(void) {
    struct sigaction action = {.sa_handler = on_quit, .sa_flags = SA_RESTART};
    sigaction(SIGQUIT, &action, NULL);
    nowhere = fopen("/dev/null", "w");
    int fds = entries("/proc/self/fd");
    void *(*work[])(void *) = {allocate, print, load, make};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, work[i % 4], NULL);
    char byte = '!';
    if (write(1, &byte, 1) != 1)
        return 9;
    long memory = 0;
    while (read(0, &byte, 1) == 1) {
        memory = resident();
        if (write(1, "!", 1) != 1)
            return 9;
    }
    stop = 1;
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    printf("\nseen %d fds %d threads %d grown %ld\n", seen, entries("/proc/self/fd") - fds,
           entries("/proc/self/task") - 2, resident() - memory);
    return 0;
}
