/* Eight threads work on one sum, in turns that depend on each other through a mutex and a condition. What
 * is printed at the end depends on nothing but the argument, the number of rounds. "-" instead of the
 * number runs until a line comes on standard input, and prints the rounds too. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#define THREADS 8
#define WORDS 2000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t rounds, limit, sum;

static uint64_t mix(uint64_t value, uint64_t word)
{
    value ^= word + 0x9e3779b97f4a7c15u + (value << 6) + (value >> 2);
    return (value << 13 | value >> 51) * 0xff51afd7ed558ccdu;
}

/* The part of a thread: a block of numbers, worked through on its stack and with floating point. */
static uint64_t part(uint64_t round, uint64_t thread)
{
    uint64_t block[WORDS];
    double real = 1.0 + (double)thread;
    for (uint64_t i = 0; i < WORDS; i++) {
        real = real * 1.0000001 + (double)(i % 7) * 0.5;
        block[i] = mix(round * WORDS + i, thread) ^ (uint64_t)real;
    }
    uint64_t value = round;
    for (uint64_t i = 0; i < WORDS; i++)
        value = mix(value, block[(i * 7919) % WORDS]);
    return value;
}

static void *work(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;
    for (uint64_t round = thread;; round += THREADS) {
        uint64_t value = part(round, thread);
        pthread_mutex_lock(&lock);
        /* Each in its turn: a lost wake-up would be the end. */
        while (rounds != round && rounds < limit)
            pthread_cond_wait(&changed, &lock);
        int done = rounds >= limit;
        if (!done) {
            sum = mix(sum, value);
            rounds++;
        }
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        if (done)
            return NULL;
    }
}

static void *wait_for_line(void *unused)
{
    char byte;
    while (read(0, &byte, 1) < 0)
        ;
    pthread_mutex_lock(&lock);
    limit = rounds;
    pthread_mutex_unlock(&lock);
    return unused;
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int until_told = argc < 2 || !strcmp(argv[1], "-");
    limit = until_told ? UINT64_MAX : strtoull(argv[1], NULL, 10);
    pthread_t threads[THREADS], waiter;
    if (until_told && pthread_create(&waiter, NULL, wait_for_line, NULL) != 0)
        return 1;
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)i) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%llu %016llx\n", (unsigned long long)limit, (unsigned long long)sum);
    return 0;
}
