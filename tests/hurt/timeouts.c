/* One thread for each way to wait with a timeout. Each checks that it waited as long as it asked for, that
 * nothing it did not ask for came back, and that EINTR comes only where signal(7) says that a stop can
 * cause it; there it waits for the rest, as a correct program does. Ends when a line comes on standard
 * input, and prints the waits that were right, those that were wrong, and the EINTRs. */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ll
/* Not the same for any two, so that they stop in many constellations. */
#define WAIT(index) ((3 + (index)) * 1000000ll + 137000)

static volatile int done;
static unsigned long right[32], wrong[32], interrupted[32];
static int epoll, sockets[2], semaphores;
static uint32_t word;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * NS + time.tv_nsec;
}

static struct timespec span(int64_t ns)
{
    return (struct timespec){ .tv_sec = ns / NS, .tv_nsec = ns % NS };
}

/* Each gives 0 if its time has passed, and -1 with errno otherwise. */
static int by_nanosleep(int64_t ns)
{
    struct timespec time = span(ns);
    return nanosleep(&time, NULL);
}

static int by_clock_nanosleep(int64_t ns)
{
    struct timespec time = span(now() + ns);
    errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
    return errno ? -1 : 0;
}

static int by_poll(int64_t ns)
{
    return poll(NULL, 0, (int)((ns + 999999) / 1000000));
}

static int by_ppoll(int64_t ns)
{
    struct timespec time = span(ns);
    return ppoll(NULL, 0, &time, NULL);
}

static int by_select(int64_t ns)
{
    struct timeval time = { .tv_sec = ns / NS, .tv_usec = ns % NS / 1000 + 1 };
    return select(0, NULL, NULL, NULL, &time);
}

static int by_futex(int64_t ns)
{
    struct timespec time = span(ns);
    int result = (int)syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time);
    return result == -1 && errno == ETIMEDOUT ? 0 : -1;
}

static int by_condition(int64_t ns)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_condattr_t attributes;
    pthread_cond_t condition;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&condition, &attributes);
    struct timespec time = span(now() + ns);
    pthread_mutex_lock(&lock);
    int error;
    while ((error = pthread_cond_timedwait(&condition, &lock, &time)) == 0)
        ;
    pthread_mutex_unlock(&lock);
    errno = error;
    return error == ETIMEDOUT ? 0 : -1;
}

static int by_sem_timedwait(int64_t ns)
{
    sem_t semaphore;
    struct timespec time = span(now() + ns);
    sem_init(&semaphore, 0, 0);
    return sem_clockwait(&semaphore, CLOCK_MONOTONIC, &time) == -1 && errno == ETIMEDOUT ? 0 : -1;
}

static int by_timerfd(int64_t ns)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec time = { .it_value = span(ns) };
    uint64_t count = 0;
    timerfd_settime(fd, 0, &time, NULL);
    ssize_t length = read(fd, &count, sizeof count);
    int error = errno;
    close(fd);
    errno = error;
    return length == sizeof count && count == 1 ? 0 : -1;
}

static int by_epoll(int64_t ns)
{
    struct epoll_event event;
    return epoll_wait(epoll, &event, 1, (int)((ns + 999999) / 1000000));
}

static int by_epoll_pwait2(int64_t ns)
{
    struct epoll_event event;
    struct timespec time = span(ns);
    return epoll_pwait2(epoll, &event, 1, &time, NULL);
}

static int by_recv(int64_t ns)
{
    char byte;
    struct timeval time = { .tv_sec = ns / NS, .tv_usec = ns % NS / 1000 + 1 };
    setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    return recv(sockets[0], &byte, 1, 0) == -1 && errno == EAGAIN ? 0 : -1;
}

static int by_sigtimedwait(int64_t ns)
{
    sigset_t set;
    struct timespec time = span(ns);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return sigtimedwait(&set, NULL, &time) == -1 && errno == EAGAIN ? 0 : -1;
}

static int by_semtimedop(int64_t ns)
{
    struct sembuf operation = { .sem_op = -1 };
    struct timespec time = span(ns);
    return semtimedop(semaphores, &operation, 1, &time) == -1 && errno == EAGAIN ? 0 : -1;
}

/* What a stop may interrupt. */
static const struct way {
    const char *name;
    int (*wait)(int64_t ns);
    int may_be_interrupted;
} ways[] = {
    { "nanosleep", by_nanosleep, 0 },
    { "clock_nanosleep", by_clock_nanosleep, 0 },
    { "poll", by_poll, 0 },
    { "ppoll", by_ppoll, 0 },
    { "select", by_select, 0 },
    { "futex", by_futex, 0 },
    { "pthread_cond_timedwait", by_condition, 0 },
    { "sem_clockwait", by_sem_timedwait, 0 },
    { "timerfd", by_timerfd, 0 },
    { "epoll_wait", by_epoll, 1 },
    { "epoll_pwait2", by_epoll_pwait2, 1 },
    { "recv with SO_RCVTIMEO", by_recv, 1 },
    { "sigtimedwait", by_sigtimedwait, 1 },
    { "semtimedop", by_semtimedop, 1 },
};
#define WAYS (sizeof ways / sizeof ways[0])

static void *wait_in_a_loop(void *argument)
{
    size_t index = (size_t)(uintptr_t)argument;
    const struct way *way = &ways[index];
    while (!done) {
        int64_t end = now() + WAIT((int64_t)index), rest;
        int failed = 0;
        while (!failed && (rest = end - now()) > 0) {
            if (way->wait(rest) == 0)
                break;
            failed = !(errno == EINTR && way->may_be_interrupted);
            interrupted[index]++;
        }
        /* Clocks of sockets and of epoll count in whole ticks. */
        if (failed || end - now() > 4000000)
            wrong[index]++;
        else
            right[index]++;
    }
    return NULL;
}

int main(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    semaphores = semget(IPC_PRIVATE, 1, 0600);
    if (semaphores < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0)
        return 2;
    pthread_t threads[WAYS];
    for (size_t i = 0; i < WAYS; i++)
        if (pthread_create(&threads[i], NULL, wait_in_a_loop, (void *)(uintptr_t)i) != 0)
            return 2;
    char byte;
    if (read(0, &byte, 1) < 0)
        wrong[0]++;
    done = 1;
    for (size_t i = 0; i < WAYS; i++)
        pthread_join(threads[i], NULL);
    semctl(semaphores, 0, IPC_RMID);
    for (size_t i = 0; i < WAYS; i++)
        printf("%s: %lu %lu %lu\n", ways[i].name, right[i], wrong[i], interrupted[i]);
    return 0;
}
