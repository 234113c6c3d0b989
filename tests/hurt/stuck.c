/* Threads that count, and a first thread that is the parent of a vfork, which cannot be stopped, as long as
 * the second argument says, in seconds. The first argument is the file with the counts: ready, vforks
 * ended, thread ids, counts. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 6

struct shared {
    uint64_t ready, ended, tids[THREADS], counts[THREADS], unused[50];
};

static volatile struct shared *shared;

static void *count(void *argument)
{
    uintptr_t index = (uintptr_t)argument;
    struct timespec time = { .tv_nsec = 1000000 };
    shared->tids[index] = (uint64_t)syscall(SYS_gettid);
    for (;;) {
        shared->counts[index]++;
        nanosleep(&time, NULL);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int file = argc < 3 ? -1 : open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *shared) != 0)
        return 2;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED)
        return 2;
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, count, (void *)i) != 0)
            return 2;
    }
    for (int i = 0; i < THREADS; i++)
        while (shared->tids[i] == 0)
            usleep(1000);
    struct timespec time = { .tv_sec = atoi(argv[2]) };
    shared->ready = 1;
    if (time.tv_sec > 0) {
        pid_t child = vfork();
        if (child == 0) {
            syscall(SYS_nanosleep, &time, NULL);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    shared->ended = 1;
    for (;;)
        pause();
}
